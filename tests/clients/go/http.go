package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// One kind of client, going to one proxy.
type visitor struct {
	client *http.Client
	config *tls.Config
	dial   func(context.Context, string, string) (net.Conn, error)
	host   string
	proto  string
}

func trust(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: roots}, nil
}

func checkHTTP(address, ca, host string) error {
	config, err := trust(ca)
	if err != nil {
		return err
	}
	dial := dialer(address)
	checks := []struct {
		name string
		run  func(visitor) error
	}{
		{"GET", get}, {"HEAD", head}, {"many at a time", many}, {"upload of unknown length", upload},
		{"download", download}, {"trailers", trailers}, {"100-continue", expectation}, {"103", earlyHints},
		{"events", events}, {"a body that is cut", cut},
	}
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(proto == "HTTP/1.1")
		protocols.SetHTTP2(proto == "HTTP/2.0")
		transport := &http.Transport{
			DialContext: dial, TLSClientConfig: config.Clone(), Protocols: protocols,
			ExpectContinueTimeout: time.Minute,
		}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		visitor := visitor{client, config, dial, host, proto}
		for _, check := range checks {
			tell(check.name+" over "+proto, check.run(visitor))
		}
		transport.CloseIdleConnections()
	}
	return nil
}

func checkWebSocket(address, ca, host string) error {
	config, err := trust(ca)
	if err != nil {
		return err
	}
	tell("WebSocket", sockets(visitor{nil, config, dialer(address), host, ""}))
	return nil
}

// Goes to one address whatever the name is.
func dialer(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

func tell(name string, err error) {
	if err == nil {
		fmt.Println("ok", name)
	} else {
		fmt.Printf("FAIL %s: %q\n", name, err.Error())
	}
}

func (visitor visitor) url(path string) string {
	return "https://" + visitor.host + path
}

// Sends a request; the answer must be 200 by the protocol that was meant.
func (visitor visitor) send(request *http.Request) (*http.Response, error) {
	answer, err := visitor.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != 200 || answer.Proto != visitor.proto {
		answer.Body.Close()
		return nil, fmt.Errorf("%s by %s", answer.Status, answer.Proto)
	}
	return answer, nil
}

// Sends a body to /echo and compares what the back end saw.
func (visitor visitor) echo(request *http.Request, body []byte) (*http.Response, error) {
	answer, err := visitor.send(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var saw seen
	if err := json.Unmarshal(text, &saw); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if saw.Length != int64(len(body)) || saw.Sha256 != hex.EncodeToString(sum[:]) || saw.Host != visitor.host ||
		saw.Method != request.Method || saw.URI != request.URL.RequestURI() {
		return nil, fmt.Errorf("the back end saw %+v", saw)
	}
	return answer, nil
}

func request(method, url string, body io.Reader) *http.Request {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	return request
}

func get(visitor visitor) error {
	_, err := visitor.echo(request("GET", visitor.url("/echo?a=%20b&c[]=%C3%A4"), nil), nil)
	return err
}

func head(visitor visitor) error {
	answer, err := visitor.send(request("HEAD", visitor.url("/large?bytes=12345"), nil))
	if err == nil && answer.ContentLength != 12345 {
		err = fmt.Errorf("length %d", answer.ContentLength)
	}
	return err
}

func many(visitor visitor) error {
	var group sync.WaitGroup
	failures := make(chan error, 400)
	for worker := range 40 {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := range 10 {
				body := bytes.Repeat([]byte{byte(worker), byte(number)}, 500*number)
				_, err := visitor.echo(request("POST", visitor.url("/echo"), bytes.NewReader(body)), body)
				failures <- err
			}
		}()
	}
	group.Wait()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func upload(visitor visitor) error {
	body := bytes.Repeat([]byte("0123456789abcdef"), 512*1024)
	// A reader whose length the client cannot ask for.
	stream := io.MultiReader(bytes.NewReader(body))
	_, err := visitor.echo(request("PUT", visitor.url("/echo"), stream), body)
	return err
}

func download(visitor visitor) error {
	answer, err := visitor.send(request("GET", visitor.url("/large?bytes=33554432"), nil))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	length, err := io.Copy(io.Discard, answer.Body)
	if err == nil && length != 33554432 {
		err = fmt.Errorf("%d bytes", length)
	}
	return err
}

func trailers(visitor visitor) error {
	body := []byte("with a sum")
	request := request("POST", visitor.url("/echo"), io.MultiReader(bytes.NewReader(body)))
	request.Trailer = http.Header{"X-Check": {"7"}}
	request.Header.Set("TE", "trailers")
	answer, err := visitor.echo(request, body)
	if err == nil && answer.Trailer.Get("X-Checked") != "7" {
		err = fmt.Errorf("trailer %v", answer.Trailer)
	}
	return err
}

func expectation(visitor visitor) error {
	told := false
	trace := &httptrace.ClientTrace{Got100Continue: func() { told = true }}
	body := []byte("after a word")
	request := request("POST", visitor.url("/echo"), bytes.NewReader(body))
	request.Header.Set("Expect", "100-continue")
	_, err := visitor.echo(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)), body)
	if err == nil && !told {
		err = errors.New("no 100")
	}
	return err
}

func earlyHints(visitor visitor) error {
	var links []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		links = append(links, fmt.Sprint(code, " ", header.Get("Link")))
		return nil
	}}
	request := request("GET", visitor.url("/hints"), nil)
	answer, err := visitor.send(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if got := strings.Join(links, ", "); err == nil && (got != "103 </a.css>; rel=preload" || string(text) != "hinted") {
		err = fmt.Errorf("interim answers %q, body %q", got, text)
	}
	return err
}

// The second event is sent only after the first one has arrived.
func events(visitor visitor) error {
	turn := fmt.Sprintf("?%d", time.Now().UnixNano())
	answer, err := visitor.send(request("GET", visitor.url("/events"+turn), nil))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	var got []string
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		got = append(got, lines.Text())
		if len(got) == 1 {
			next, err := visitor.send(request("GET", visitor.url("/next"+turn), nil))
			if err != nil {
				return err
			}
			next.Body.Close()
		}
	}
	if text := strings.Join(got, ", "); text != "data: first, data: second" {
		return fmt.Errorf("%s, %v", text, lines.Err())
	}
	return nil
}

// A client that gives up half-way gets an error, and the next request an answer.
func cut(visitor visitor) error {
	reader, writer := io.Pipe()
	go func() {
		writer.Write([]byte("half"))
		writer.CloseWithError(errors.New("changed my mind"))
	}()
	if _, err := visitor.send(request("POST", visitor.url("/echo"), reader)); err == nil {
		return errors.New("an answer to half a request")
	}
	return get(visitor)
}

func sockets(visitor visitor) error {
	dialer := websocket.Dialer{
		NetDialContext: visitor.dial, TLSClientConfig: visitor.config, EnableCompression: true,
		Subprotocols: []string{"other", "hop3-echo"}, HandshakeTimeout: time.Minute,
	}
	connection, answer, err := dialer.Dial("wss://"+visitor.host+"/socket", nil)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(time.Minute))
	if connection.Subprotocol() != "hop3-echo" {
		return fmt.Errorf("subprotocol %q", connection.Subprotocol())
	}
	if extensions := answer.Header.Get("Sec-WebSocket-Extensions"); !strings.Contains(extensions, "permessage-deflate") {
		return fmt.Errorf("extensions %q", extensions)
	}
	ponged := false
	connection.SetPongHandler(func(text string) error {
		ponged = text == "are you there"
		return nil
	})
	if err := connection.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Minute)); err != nil {
		return err
	}
	binary := make([]byte, 1<<20)
	for place := range binary {
		binary[place] = byte(place * place >> 3)
	}
	for kind, message := range map[int][]byte{
		websocket.TextMessage: []byte("gr\u00fc\u00df dich"), websocket.BinaryMessage: binary,
	} {
		if err := connection.WriteMessage(kind, message); err != nil {
			return err
		}
		came, back, err := connection.ReadMessage()
		if err != nil {
			return err
		}
		if came != kind || !bytes.Equal(back, message) {
			return fmt.Errorf("message of kind %d and %d bytes", came, len(back))
		}
	}
	if !ponged {
		return errors.New("no pong")
	}
	goodbye := websocket.FormatCloseMessage(4001, "done")
	if err := connection.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, _, err = connection.ReadMessage(); !websocket.IsCloseError(err, 4001) {
		return fmt.Errorf("closed by %v", err)
	}
	return nil
}
