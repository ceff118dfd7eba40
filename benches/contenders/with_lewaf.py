"""Measures LeWAF, as `hop3 waf bench --json --stepwise` measures our engine.

Usage: with_lewaf.py RULES CORPUS ROUNDS LEAST BUDGET

RULES is a configuration file, CORPUS one JSON object a line. All requests are inspected once unmeasured, then ROUNDS
times; each round begins with a line on standard input, after `ready` was written on standard error. Within a round the
requests of a label are repeated, all of them, until they used LEAST seconds of CPU; it stops when it has used BUDGET.
"""

import base64
import importlib.metadata
import json
import logging
import sys
import time

from lewaf.integration import WAF


class Request:
    def __init__(self, line):
        recorded = json.loads(line)
        self.id, self.label, self.expect = recorded["id"], recorded["label"], recorded["expect"]
        self.method, self.uri = recorded["method"], recorded["uri"]
        # The interface takes a dictionary; the corpus repeats no name.
        self.headers = dict(recorded["headers"])
        self.body = base64.b64decode(recorded["body"])
        self.content_type = self.headers.get("Content-Type", "")

    def is_refused(self, waf):
        """Runs phases 1 and 2."""
        transaction = waf.new_transaction()
        transaction.process_uri(self.uri, self.method)
        transaction.add_request_headers(self.headers)
        if transaction.process_request_headers():
            return True
        if self.body:
            transaction.add_request_body(self.body, self.content_type)
        return bool(transaction.process_request_body())


class Label:
    def __init__(self):
        self.requests, self.rounds, self.samples = [], [], []
        self.blocked = self.wrong = 0

    def measure(self, waf, least, budget):
        start = before = time.thread_time_ns()
        count = 0
        while count == 0 or before - start < least or count % len(self.requests) != 0:
            if before - start > budget:
                break
            self.requests[count % len(self.requests)].is_refused(waf)
            after = time.thread_time_ns()
            self.samples.append(after - before)
            before = after
            count += 1
        self.rounds.append((before - start) // count)

    def quantile(self, share):
        ordered = sorted(self.samples)
        return ordered[round((len(ordered) - 1) * share)] if ordered else 0


def resident_kb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def main():
    rules, corpus, rounds, least, budget = sys.argv[1:]
    # It logs every rule that it looks at.
    logging.disable(logging.CRITICAL)
    labels = {}
    with open(corpus, encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                request = Request(line)
                labels.setdefault(request.label, Label()).requests.append(request)

    begin = time.monotonic()
    waf = WAF({"rule_files": [rules], "engine": "On"})
    load_ms = (time.monotonic() - begin) * 1000
    print("engine LeWAF", importlib.metadata.version("lewaf"), file=sys.stderr)

    for name, label in labels.items():
        for request in label.requests:
            refused = request.is_refused(waf)
            wrong = refused if request.expect == "pass" else not refused and request.expect == "block"
            label.blocked += refused
            label.wrong += wrong
            if wrong:
                print("wrong", request.id, f"({name})", "refused" if refused else "passed", file=sys.stderr)
    for _ in range(int(rounds)):
        print("ready", file=sys.stderr, flush=True)
        if not sys.stdin.readline():
            break
        for label in labels.values():
            label.measure(waf, float(least) * 1e9, float(budget) * 1e9)
    rss = resident_kb()
    for name, label in labels.items():
        told = {
            "label": name,
            "n": len(label.requests),
            "rounds": label.rounds,
            "blocked": label.blocked,
            "rss_kb": rss,
            "load_ms": round(load_ms, 1),
            "p50_ns": label.quantile(0.5),
            "p99_ns": label.quantile(0.99),
            "wrong": label.wrong,
        }
        print(json.dumps(told))


if __name__ == "__main__":
    main()
