/*
 * Feeds requests to libmodsecurity and tells what it logs and decides.
 *
 * Usage: driver LIBRARY RULES
 *
 * LIBRARY is a libmodsecurity.so.3, RULES a configuration file. Every number
 * is 32 bits, little-endian; every text is a number of bytes and the bytes.
 *
 * Once, when the rules are loaded:  text "ready VERSION" or "error WHY".
 * Standard input, per request:      method, target, version ("1.1"),
 *                                   number of headers, their names and values,
 *                                   body, status, the same for the response.
 * Standard output, per request:     one text of lines
 *                                   "log PHASE LINE" and "stop PHASE STATUS".
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

/* The functions of the library, by the types of its headers. */
#define FUNCTIONS(X)             \
    X(msc_init)                  \
    X(msc_who_am_i)              \
    X(msc_set_log_cb)            \
    X(msc_create_rules_set)      \
    X(msc_rules_add_file)        \
    X(msc_new_transaction)       \
    X(msc_process_connection)    \
    X(msc_process_uri)           \
    X(msc_add_n_request_header)  \
    X(msc_process_request_headers) \
    X(msc_append_request_body)   \
    X(msc_process_request_body)  \
    X(msc_add_n_response_header) \
    X(msc_process_response_headers) \
    X(msc_append_response_body)  \
    X(msc_process_response_body) \
    X(msc_process_logging)       \
    X(msc_intervention)          \
    X(msc_transaction_cleanup)

#define DECLARE(name) static __typeof__(name) *call_##name;
FUNCTIONS(DECLARE)

static void die(const char *why) {
    fprintf(stderr, "driver: %s\n", why);
    exit(1);
}

/* A text that grows. */
typedef struct {
    char *bytes;
    size_t length, room;
} Text;

static void append(Text *text, const char *bytes, size_t length) {
    if (text->length + length > text->room) {
        text->room = 2 * (text->length + length);
        text->bytes = realloc(text->bytes, text->room);
        if (text->bytes == NULL) die("out of memory");
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

static void put(const char *bytes, size_t length) {
    uint32_t number = (uint32_t)length;
    if (fwrite(&number, sizeof number, 1, stdout) != 1 || fwrite(bytes, 1, length, stdout) != length) {
        die("nobody reads");
    }
    fflush(stdout);
}

/* The number that comes next; 0 at the end of the input when `may_end`. */
static int take_number(uint32_t *number, int may_end) {
    if (fread(number, sizeof *number, 1, stdin) == 1) return 1;
    if (!may_end) die("the input ends within a request");
    return 0;
}

/* Reads a text into `text`, ended by a NUL that is not counted. */
static void take_text(Text *text, uint32_t length) {
    text->length = 0;
    append(text, "", 1);
    while (text->room < (size_t)length + 1) append(text, "", 1);
    if (fread(text->bytes, 1, length, stdin) != length) die("the input ends within a text");
    text->bytes[length] = '\0';
    text->length = length;
}

static void next_text(Text *text) {
    uint32_t length;
    take_number(&length, 0);
    take_text(text, length);
}

/* What is said about the request at hand. */
static Text answer;
static int phase;

static void log_line(void *data, const void *message) {
    (void)data;
    char head[32];
    int length = snprintf(head, sizeof head, "log %d ", phase);
    append(&answer, head, (size_t)length);
    const char *line = message;
    /* A line stays a line. */
    append(&answer, line, strcspn(line, "\n"));
    append(&answer, "\n", 1);
}

/* Whether the transaction was stopped, with a line about it. The rule that stops it is not told to the log. */
static int stopped(Transaction *transaction) {
    ModSecurityIntervention intervention = {.status = 200};
    if (!call_msc_intervention(transaction, &intervention)) return 0;
    char line[48];
    int length = snprintf(line, sizeof line, "stop %d %d\n", phase, intervention.status);
    append(&answer, line, (size_t)length);
    if (intervention.log != NULL) log_line(NULL, intervention.log);
    free(intervention.url);
    free(intervention.log);
    return 1;
}

typedef int AddHeader(Transaction *, const unsigned char *, size_t, const unsigned char *, size_t);

static void headers(Transaction *transaction, AddHeader *add) {
    static Text name, value;
    uint32_t count;
    take_number(&count, 0);
    while (count-- > 0) {
        next_text(&name);
        next_text(&value);
        add(transaction, (unsigned char *)name.bytes, name.length, (unsigned char *)value.bytes, value.length);
    }
}

/* One request; its first number, the length of the method, is read already. */
static void request(ModSecurity *engine, RulesSet *rules, uint32_t length) {
    static Text method, target, version, body;
    Transaction *transaction = call_msc_new_transaction(engine, rules, NULL);
    if (transaction == NULL) die("no transaction");
    phase = 1;
    answer.length = 0;
    take_text(&method, length);
    next_text(&target);
    next_text(&version);
    call_msc_process_connection(transaction, "127.0.0.1", 50000, "127.0.0.1", 80);
    call_msc_process_uri(transaction, target.bytes, method.bytes, version.bytes);
    headers(transaction, call_msc_add_n_request_header);
    call_msc_process_request_headers(transaction);
    int stop = stopped(transaction);

    next_text(&body);
    if (!stop) {
        phase = 2;
        call_msc_append_request_body(transaction, (unsigned char *)body.bytes, body.length);
        call_msc_process_request_body(transaction);
        stop = stopped(transaction);
    }

    uint32_t status;
    take_number(&status, 0);
    phase = 3;
    headers(transaction, call_msc_add_n_response_header);
    if (!stop) {
        call_msc_process_response_headers(transaction, (int)status, "HTTP/1.1");
        stop = stopped(transaction);
    }
    next_text(&body);
    if (!stop) {
        phase = 4;
        call_msc_append_response_body(transaction, (unsigned char *)body.bytes, body.length);
        call_msc_process_response_body(transaction);
        stopped(transaction);
    }
    phase = 5;
    call_msc_process_logging(transaction);
    put(answer.bytes, answer.length);
    call_msc_transaction_cleanup(transaction);
}

int main(int argc, char **argv) {
    if (argc != 3) die("usage: driver LIBRARY RULES");
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) die(dlerror());
#define LOAD(name)                            \
    *(void **)&call_##name = dlsym(library, #name); \
    if (call_##name == NULL) die("the library has no " #name);
    FUNCTIONS(LOAD)

    ModSecurity *engine = call_msc_init();
    call_msc_set_log_cb(engine, log_line);
    RulesSet *rules = call_msc_create_rules_set();
    const char *error = NULL;
    if (call_msc_rules_add_file(rules, argv[2], &error) < 0) {
        append(&answer, "error ", 6);
        append(&answer, error, strlen(error));
        put(answer.bytes, answer.length);
        return 1;
    }
    const char *version = call_msc_who_am_i(engine);
    append(&answer, "ready ", 6);
    append(&answer, version, strlen(version));
    put(answer.bytes, answer.length);

    uint32_t length;
    while (take_number(&length, 1)) request(engine, rules, length);
    return 0;
}
