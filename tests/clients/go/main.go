// The Go side of the tests with real clients: back ends to put behind the proxy, and clients to send through it.
//
//	clients serve                      prints its addresses, serves until standard input ends
//	clients http ADDRESS CA HOST       every check of net/http, a line each
//	clients websocket ADDRESS CA HOST  the same of WebSocket
//	clients grpc ADDRESS CA HOST CASE  one case of gRPC's interoperability suite, told by the exit status
//
// ADDRESS is the proxy's HTTPS listener, CA a file with the certificate to trust, HOST the name to ask for.
package main

import (
	"fmt"
	"os"
)

func main() {
	arguments := os.Args[1:]
	var err error
	switch {
	case len(arguments) == 1 && arguments[0] == "serve":
		err = serve()
	case len(arguments) == 4 && arguments[0] == "http":
		err = checkHTTP(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 4 && arguments[0] == "websocket":
		err = checkWebSocket(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 5 && arguments[0] == "grpc":
		err = checkGRPC(arguments[1], arguments[2], arguments[3], arguments[4])
	default:
		err = fmt.Errorf("usage: clients serve | http ADDRESS CA HOST | websocket ADDRESS CA HOST | grpc ADDRESS CA HOST CASE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
