// Measures Coraza, as `hop3 waf bench --json --stepwise` measures our engine.
//
// Usage: coraza RULES CORPUS ROUNDS LEAST BUDGET
//
// RULES is a configuration file, CORPUS one JSON object a line. All requests are inspected once unmeasured, then ROUNDS
// times; each round begins with a line on standard input, after `ready` was written on standard error. Within a round
// the requests of a label are repeated, all of them, until they used LEAST seconds of CPU; it stops when it has used
// BUDGET. The clock is that of the one thread that inspects: what the garbage collector does on other threads is not
// counted.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"
	"golang.org/x/sys/unix"
)

type request struct {
	ID      string      `json:"id"`
	Label   string      `json:"label"`
	Expect  string      `json:"expect"`
	Method  string      `json:"method"`
	URI     string      `json:"uri"`
	Version string      `json:"version"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	body    []byte
}

type label struct {
	name     string
	requests []*request
	rounds   []int64
	samples  []int64
	blocked  int
	wrong    int
}

type line struct {
	Label   string  `json:"label"`
	N       int     `json:"n"`
	Rounds  []int64 `json:"rounds"`
	Blocked int     `json:"blocked"`
	RssKB   int     `json:"rss_kb"`
	LoadMS  float64 `json:"load_ms"`
	P50     int64   `json:"p50_ns"`
	P99     int64   `json:"p99_ns"`
	Wrong   int     `json:"wrong"`
}

func main() {
	if len(os.Args) != 6 {
		fail("usage: coraza RULES CORPUS ROUNDS LEAST BUDGET")
	}
	rounds, err := strconv.Atoi(os.Args[3])
	check(err)
	least, err := strconv.ParseFloat(os.Args[4], 64)
	check(err)
	budget, err := strconv.ParseFloat(os.Args[5], 64)
	check(err)
	runtime.LockOSThread()
	labels := read(os.Args[2])

	begin := time.Now()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(root{}).WithDirectivesFromFile(os.Args[1]))
	check(err)
	load := time.Since(begin)
	fmt.Fprintf(os.Stderr, "engine Coraza %s\n", version())

	for _, label := range labels {
		for _, asked := range label.requests {
			stop := inspect(waf, asked)
			wrong := stop && asked.Expect == "pass" || !stop && asked.Expect == "block"
			if stop {
				label.blocked++
			}
			if wrong {
				label.wrong++
				fmt.Fprintf(os.Stderr, "wrong %s (%s) refused: %v\n", asked.ID, label.name, stop)
			}
		}
	}
	input := bufio.NewScanner(os.Stdin)
	for range rounds {
		fmt.Fprintln(os.Stderr, "ready")
		if !input.Scan() {
			break
		}
		for _, label := range labels {
			label.measure(waf, int64(least*1e9), int64(budget*1e9))
		}
	}
	rss := residentKB()
	out := json.NewEncoder(os.Stdout)
	for _, label := range labels {
		check(out.Encode(line{
			Label: label.name, N: len(label.requests), Rounds: label.rounds, Blocked: label.blocked, RssKB: rss,
			LoadMS: float64(load.Microseconds()) / 1e3, P50: label.quantile(0.5), P99: label.quantile(0.99),
			Wrong: label.wrong,
		}))
	}
}

func (label *label) measure(waf coraza.WAF, least, budget int64) {
	start := threadCPU()
	before, count := start, 0
	for count == 0 || before-start < least || count%len(label.requests) != 0 {
		if before-start > budget {
			break
		}
		inspect(waf, label.requests[count%len(label.requests)])
		after := threadCPU()
		label.samples = append(label.samples, after-before)
		before = after
		count++
	}
	label.rounds = append(label.rounds, (before-start)/int64(count))
}

func (label *label) quantile(share float64) int64 {
	if len(label.samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(label.samples))
	return sorted[int(float64(len(sorted)-1)*share+0.5)]
}

// inspect runs phases 1 and 2 and tells whether the request is refused.
func inspect(waf coraza.WAF, asked *request) bool {
	tx := waf.NewTransaction()
	defer tx.Close()
	tx.ProcessConnection("127.0.0.1", 50000, "127.0.0.1", 80)
	tx.ProcessURI(asked.URI, asked.Method, asked.Version)
	for _, header := range asked.Headers {
		tx.AddRequestHeader(header[0], header[1])
		if strings.EqualFold(header[0], "host") {
			tx.SetServerName(header[1])
		}
	}
	if tx.ProcessRequestHeaders() != nil {
		return true
	}
	var stop *types.Interruption
	var err error
	if len(asked.body) > 0 {
		stop, _, err = tx.WriteRequestBody(asked.body)
		check(err)
	}
	if stop == nil {
		stop, err = tx.ProcessRequestBody()
		check(err)
	}
	return stop != nil
}

func read(path string) []*label {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	var labels []*label
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		text, err := lines.ReadBytes('\n')
		if len(strings.TrimSpace(string(text))) > 0 {
			asked := &request{}
			check(json.Unmarshal(text, asked))
			asked.body, err = base64.StdEncoding.DecodeString(asked.Body)
			check(err)
			asked.Body = ""
			at := slices.IndexFunc(labels, func(label *label) bool { return label.name == asked.Label })
			if at < 0 {
				labels, at = append(labels, &label{name: asked.Label}), len(labels)
			}
			labels[at].requests = append(labels[at].requests, asked)
			continue
		}
		if err != nil {
			return labels
		}
	}
}

func threadCPU() int64 {
	var at unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at))
	return at.Nano()
}

func residentKB() int {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, text := range strings.Split(string(status), "\n") {
		if rest, found := strings.CutPrefix(text, "VmRSS:"); found {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/corazawaf/coraza/v3" {
			return module.Version
		}
	}
	return ""
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "coraza:", why)
	os.Exit(1)
}
