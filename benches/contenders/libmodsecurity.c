/*
 * Measures libmodsecurity through its C interface, as `hop3 waf bench --json --stepwise` measures our engine.
 *
 * Usage: libmodsecurity LIBRARY RULES CORPUS ROUNDS LEAST BUDGET
 *
 * LIBRARY is a libmodsecurity.so.3, RULES a configuration file, CORPUS one JSON object a line. All requests are
 * inspected once unmeasured, then ROUNDS times; each round begins with a line on standard input, after `ready` was
 * written on standard error. Within a round the requests of a label are repeated, all of them, until they used LEAST
 * seconds of CPU; it stops when it has used BUDGET.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#define FUNCTIONS(X)               \
    X(msc_init)                    \
    X(msc_who_am_i)                \
    X(msc_create_rules_set)        \
    X(msc_set_log_cb)              \
    X(msc_rules_add_file)          \
    X(msc_new_transaction)         \
    X(msc_process_connection)      \
    X(msc_process_uri)             \
    X(msc_add_n_request_header)    \
    X(msc_process_request_headers) \
    X(msc_append_request_body)     \
    X(msc_process_request_body)    \
    X(msc_intervention)            \
    X(msc_transaction_cleanup)

#define DECLARE(name) static __typeof__(name) *call_##name;
FUNCTIONS(DECLARE)

enum { MOST_LABELS = 64, MOST_HEADERS = 100 };

typedef struct {
    char *bytes;
    size_t length;
} Text;

typedef struct {
    Text id, label, expect, method, uri, version, body;
    Text names[MOST_HEADERS], values[MOST_HEADERS];
    size_t headers;
} Request;

typedef struct {
    const char *name;
    Request **requests;
    size_t count, blocked, wrong;
    uint64_t *rounds, *samples;
    size_t sampled, room;
} Label;

static void die(const char *why) {
    fprintf(stderr, "libmodsecurity: %s\n", why);
    exit(1);
}

static void *memory(size_t size) {
    void *found = calloc(1, size + 1);
    if (found == NULL) die("out of memory");
    return found;
}

/* --- JSON: objects, arrays and strings, which is all that a corpus has --- */

static void blanks(const char **at) { while (isspace((unsigned char)**at)) ++*at; }

static void expect(const char **at, char wanted) {
    blanks(at);
    if (**at != wanted) die("a line of the corpus is malformed");
    ++*at;
}

static unsigned hex4(const char **at) {
    char digits[5] = {0};
    for (int i = 0; i < 4; i++) if (!isxdigit((unsigned char)(digits[i] = (*at)[i]))) die("a bad \\u in the corpus");
    *at += 4;
    return (unsigned)strtoul(digits, NULL, 16);
}

static char *utf8(char *to, unsigned code) {
    if (code < 0x80) *to++ = (char)code;
    else if (code < 0x800) { *to++ = (char)(0xC0 | code >> 6); *to++ = (char)(0x80 | (code & 63)); }
    else {
        if (code < 0x10000) *to++ = (char)(0xE0 | code >> 12);
        else { *to++ = (char)(0xF0 | code >> 18); *to++ = (char)(0x80 | (code >> 12 & 63)); }
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

static Text string(const char **at) {
    expect(at, '"');
    const char *end = *at;
    while (*end && *end != '"') end += *end == '\\' && end[1] ? 2 : 1;
    Text text = {memory((size_t)(end - *at)), 0};
    char *to = text.bytes;
    while (*at < end) {
        if (**at != '\\') { *to++ = *(*at)++; continue; }
        char escaped = (*at)[1];
        *at += 2;
        unsigned code;
        switch (escaped) {
            case 'b': *to++ = '\b'; break;
            case 'f': *to++ = '\f'; break;
            case 'n': *to++ = '\n'; break;
            case 'r': *to++ = '\r'; break;
            case 't': *to++ = '\t'; break;
            case 'u':
                code = hex4(at);
                if (code >= 0xD800 && code < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
                    *at += 2;
                    code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at) - 0xDC00);
                }
                to = utf8(to, code);
                break;
            default: *to++ = escaped;
        }
    }
    expect(at, '"');
    text.length = (size_t)(to - text.bytes);
    return text;
}

static Text base64(Text from) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Text to = {memory(from.length / 4 * 3 + 3), 0};
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < from.length && from.bytes[i] != '='; i++) {
        const char *digit = strchr(digits, from.bytes[i]);
        if (digit == NULL) die("a body of the corpus is not base64");
        bits = bits << 6 | (uint32_t)(digit - digits);
        if ((have += 6) >= 8) to.bytes[to.length++] = (char)(bits >> (have -= 8));
    }
    return to;
}

/* One more element, or the end of the array or object. */
static int more(const char **at, char end, size_t before) {
    blanks(at);
    if (**at == end) { ++*at; return 0; }
    if (before > 0) expect(at, ',');
    return 1;
}

static Request *request(const char *at) {
    Request *made = memory(sizeof *made);
    expect(&at, '{');
    for (size_t members = 0; more(&at, '}', members); members++) {
        Text name = string(&at);
        expect(&at, ':');
        if (strcmp(name.bytes, "headers") == 0) {
            expect(&at, '[');
            while (more(&at, ']', made->headers)) {
                if (made->headers == MOST_HEADERS) die("too many headers in a line of the corpus");
                expect(&at, '[');
                made->names[made->headers] = string(&at);
                expect(&at, ',');
                made->values[made->headers++] = string(&at);
                expect(&at, ']');
            }
            continue;
        }
        blanks(&at);
        Text value = string(&at);
        if (strcmp(name.bytes, "id") == 0) made->id = value;
        else if (strcmp(name.bytes, "label") == 0) made->label = value;
        else if (strcmp(name.bytes, "expect") == 0) made->expect = value;
        else if (strcmp(name.bytes, "method") == 0) made->method = value;
        else if (strcmp(name.bytes, "uri") == 0) made->uri = value;
        else if (strcmp(name.bytes, "version") == 0) made->version = value;
        else if (strcmp(name.bytes, "body") == 0) { made->body = base64(value); free(value.bytes); }
        free(name.bytes);
    }
    if (!made->id.bytes || !made->label.bytes || !made->expect.bytes || !made->method.bytes || !made->uri.bytes ||
        !made->version.bytes) die("a line of the corpus lacks a member");
    /* The interface wants the number alone. */
    if (strncmp(made->version.bytes, "HTTP/", 5) == 0) made->version.bytes += 5;
    return made;
}

/* --- Measuring --- */

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int stopped(Transaction *transaction) {
    ModSecurityIntervention intervention = {.status = 200};
    int stop = call_msc_intervention(transaction, &intervention);
    free(intervention.url);
    free(intervention.log);
    return stop;
}

/* Phases 1 and 2; whether the request is refused. */
static int inspect(ModSecurity *engine, RulesSet *rules, const Request *request) {
    Transaction *transaction = call_msc_new_transaction(engine, rules, NULL);
    if (transaction == NULL) die("no transaction");
    call_msc_process_connection(transaction, "127.0.0.1", 50000, "127.0.0.1", 80);
    call_msc_process_uri(transaction, request->uri.bytes, request->method.bytes, request->version.bytes);
    for (size_t i = 0; i < request->headers; i++) {
        call_msc_add_n_request_header(transaction, (unsigned char *)request->names[i].bytes, request->names[i].length,
                                      (unsigned char *)request->values[i].bytes, request->values[i].length);
    }
    call_msc_process_request_headers(transaction);
    int stop = stopped(transaction);
    if (!stop) {
        if (request->body.length > 0) {
            call_msc_append_request_body(transaction, (unsigned char *)request->body.bytes, request->body.length);
        }
        call_msc_process_request_body(transaction);
        stop = stopped(transaction);
    }
    call_msc_transaction_cleanup(transaction);
    return stop;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static long resident_kb(void) {
    char line[256];
    long found = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) if (sscanf(line, "VmRSS: %ld", &found) == 1) break;
    if (status) fclose(status);
    return found;
}

static void silent(void *data, const void *message) { (void)data; (void)message; }

static Label labels[MOST_LABELS];
static size_t label_count;

static Label *label_of(const Request *request) {
    for (size_t i = 0; i < label_count; i++) if (strcmp(labels[i].name, request->label.bytes) == 0) return &labels[i];
    if (label_count == MOST_LABELS) die("too many labels");
    labels[label_count].name = request->label.bytes;
    return &labels[label_count++];
}

static void sample(Label *label, uint64_t time) {
    if (label->sampled == label->room) {
        label->room = label->room ? 2 * label->room : 256;
        label->samples = realloc(label->samples, label->room * sizeof *label->samples);
        if (label->samples == NULL) die("out of memory");
    }
    label->samples[label->sampled++] = time;
}

static void read_corpus(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) die("cannot read the corpus");
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        const char *at = line;
        blanks(&at);
        if (*at == '\0') continue;
        Request *made = request(at);
        Label *label = label_of(made);
        label->requests = realloc(label->requests, (label->count + 1) * sizeof *label->requests);
        if (label->requests == NULL) die("out of memory");
        label->requests[label->count++] = made;
    }
    free(line);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 7) die("usage: libmodsecurity LIBRARY RULES CORPUS ROUNDS LEAST BUDGET");
    size_t rounds = strtoul(argv[4], NULL, 10), done = 0;
    uint64_t least = (uint64_t)(strtod(argv[5], NULL) * 1e9), budget = (uint64_t)(strtod(argv[6], NULL) * 1e9);
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) die(dlerror());
#define LOAD(name)                                  \
    *(void **)&call_##name = dlsym(library, #name); \
    if (call_##name == NULL) die("the library has no " #name);
    FUNCTIONS(LOAD)
    read_corpus(argv[3]);

    uint64_t begin = now(CLOCK_MONOTONIC);
    ModSecurity *engine = call_msc_init();
    call_msc_set_log_cb(engine, silent);
    RulesSet *rules = call_msc_create_rules_set();
    const char *error = NULL;
    if (call_msc_rules_add_file(rules, argv[2], &error) < 0) die(error);
    double load = (double)(now(CLOCK_MONOTONIC) - begin) / 1e6;
    fprintf(stderr, "engine %s\n", call_msc_who_am_i(engine));

    for (size_t l = 0; l < label_count; l++) {
        Label *label = &labels[l];
        label->rounds = memory(rounds * sizeof *label->rounds);
        for (size_t i = 0; i < label->count; i++) {
            const Request *asked = label->requests[i];
            int stop = inspect(engine, rules, asked);
            int wrong = (stop && strcmp(asked->expect.bytes, "pass") == 0) ||
                        (!stop && strcmp(asked->expect.bytes, "block") == 0);
            label->blocked += (size_t)stop;
            label->wrong += (size_t)wrong;
            if (wrong) fprintf(stderr, "wrong %s (%s) %s\n", asked->id.bytes, label->name, stop ? "refused" : "passed");
        }
    }
    char line[16];
    for (; done < rounds; done++) {
        fprintf(stderr, "ready\n");
        if (fgets(line, sizeof line, stdin) == NULL) break;
        for (size_t l = 0; l < label_count; l++) {
            Label *label = &labels[l];
            uint64_t start = now(CLOCK_THREAD_CPUTIME_ID), before = start;
            size_t i = 0;
            while ((i == 0 || before - start < least || i % label->count != 0) && before - start <= budget) {
                inspect(engine, rules, label->requests[i++ % label->count]);
                uint64_t after = now(CLOCK_THREAD_CPUTIME_ID);
                sample(label, after - before);
                before = after;
            }
            label->rounds[done] = (before - start) / i;
        }
    }
    long rss = resident_kb();
    for (size_t l = 0; l < label_count; l++) {
        Label *label = &labels[l];
        qsort(label->samples, label->sampled, sizeof *label->samples, by_value);
        printf("{\"label\":\"%s\",\"n\":%zu,\"rounds\":[", label->name, label->count);
        for (size_t i = 0; i < done; i++) printf("%s%llu", i ? "," : "", (unsigned long long)label->rounds[i]);
        size_t last = label->sampled ? label->sampled - 1 : 0;
        printf("],\"blocked\":%zu,\"rss_kb\":%ld,\"load_ms\":%.1f,\"p50_ns\":%llu,\"p99_ns\":%llu,\"wrong\":%zu}\n",
               label->blocked, rss, load, (unsigned long long)label->samples[last / 2],
               (unsigned long long)label->samples[(size_t)((double)last * 0.99 + 0.5)], label->wrong);
    }
    return 0;
}
