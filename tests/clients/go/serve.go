package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// What the back end saw of a request.
type seen struct {
	Proto   string `json:"proto"`
	Method  string `json:"method"`
	Host    string `json:"host"`
	URI     string `json:"uri"`
	Length  int64  `json:"length"`
	Sha256  string `json:"sha256"`
	Trailer string `json:"trailer"`
}

func serve() error {
	addresses := map[string]string{}
	listen := func(name string) (net.Listener, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			addresses[name] = listener.Addr().String()
		}
		return listener, err
	}
	plain, err := listen("http")
	if err != nil {
		return err
	}
	inner, err := listen("h2c")
	if err != nil {
		return err
	}
	remote, err := listen("grpc")
	if err != nil {
		return err
	}
	one := &http.Server{Handler: routes()}
	two := &http.Server{Handler: routes(), Protocols: new(http.Protocols)}
	two.Protocols.SetUnencryptedHTTP2(true)
	calls := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(calls, interop.NewTestServer())
	go one.Serve(plain)
	go two.Serve(inner)
	go calls.Serve(remote)
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/large", large)
	mux.HandleFunc("/hints", hints)
	mux.HandleFunc("/socket", socket)
	turns := &turns{waiting: map[string]chan struct{}{}}
	mux.HandleFunc("/events", turns.events)
	mux.HandleFunc("/next", turns.next)
	return mux
}

// Reads the body and tells what came; the answer's trailer repeats the request's.
func echo(out http.ResponseWriter, request *http.Request) {
	hash := sha256.New()
	length, err := io.Copy(hash, request.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	trailer := request.Trailer.Get("X-Check")
	out.Header().Set("Content-Type", "application/json")
	if trailer != "" {
		out.Header().Set("Trailer", "X-Checked")
	}
	json.NewEncoder(out).Encode(seen{
		request.Proto, request.Method, request.Host, request.RequestURI,
		length, hex.EncodeToString(hash.Sum(nil)), trailer,
	})
	if trailer != "" {
		// Before the end is known, so that no length is announced: in HTTP/1.1 it would leave no place for trailers.
		http.NewResponseController(out).Flush()
		out.Header().Set("X-Checked", trailer)
	}
}

// `?bytes=` zeros.
func large(out http.ResponseWriter, request *http.Request) {
	left, err := strconv.Atoi(request.URL.Query().Get("bytes"))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	out.Header().Set("Content-Length", strconv.Itoa(left))
	piece := make([]byte, 64*1024)
	for left > 0 && request.Method != http.MethodHead {
		written, err := out.Write(piece[:min(left, len(piece))])
		if err != nil {
			return
		}
		left -= written
	}
}

func hints(out http.ResponseWriter, _ *http.Request) {
	out.Header().Set("Link", "</a.css>; rel=preload")
	out.WriteHeader(http.StatusEarlyHints)
	out.WriteHeader(http.StatusOK)
	io.WriteString(out, "hinted")
}

// Events that wait for each other: the second is sent once somebody who saw the first asked for it.
type turns struct {
	mutex   sync.Mutex
	waiting map[string]chan struct{}
}

func (turns *turns) of(name string) chan struct{} {
	turns.mutex.Lock()
	defer turns.mutex.Unlock()
	if turns.waiting[name] == nil {
		turns.waiting[name] = make(chan struct{}, 1)
	}
	return turns.waiting[name]
}

func (turns *turns) events(out http.ResponseWriter, request *http.Request) {
	out.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(out, "data: first\n\n")
	http.NewResponseController(out).Flush()
	select {
	case <-turns.of(request.URL.RawQuery):
		fmt.Fprint(out, "data: second\n\n")
	case <-request.Context().Done():
	case <-time.After(time.Minute):
	}
}

func (turns *turns) next(_ http.ResponseWriter, request *http.Request) {
	turns.of(request.URL.RawQuery) <- struct{}{}
}

// Sends every message back until the client closes; the library repeats the code of its close.
func socket(out http.ResponseWriter, request *http.Request) {
	upgrader := websocket.Upgrader{
		EnableCompression: true,
		Subprotocols:      []string{"hop3-echo"},
		CheckOrigin:       func(*http.Request) bool { return true },
	}
	connection, err := upgrader.Upgrade(out, request, nil)
	if err != nil {
		return
	}
	defer connection.Close()
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if err := connection.WriteMessage(kind, message); err != nil {
			return
		}
	}
}
