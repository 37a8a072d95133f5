/* The load: thousands of WebSocket clients in one thread, quick enough not to be what is measured.
 *
 *   load PORT       talks to 127.0.0.1:PORT; reads commands from stdin, one a line, and answers each with a line of JSON:
 *
 *   open FILE AT_ONCE FRAMES RETRY SECONDS
 *                   connect once for each handshake request in FILE (each preceded by its length, 4 bytes, native order),
 *                   AT_ONCE at the same time; a client is open when it was answered 101 and got FRAMES frames.
 *                   RETRY=1: whoever is refused comes back like our pages do, after 0-1 s, 0-2 s, then 0-3 s.
 *   want K          from now on each client is to get K marked frames
 *   wait SECONDS    until all have them; then how late, in which order, and at what price in CPU time
 *   echo SECONDS BYTES    each client says so many bytes, waits for the answer, says them again
 *   see MS          from now on each client says what a page does once a marked frame was on its screen for a second: that all
 *                   up to there is seen, at random within MS milliseconds; 0 for nothing
 *   seen SECONDS    until the server has told each client so; how many have said it, and when the last one was told
 *   idle SECONDS    answer heartbeats and pings, nothing else
 *   close           cut all connections
 *   ceiling N K     the program's own limit: read K frames from each of N sockets that hold them already
 *
 * A frame is marked when its text holds "@t<ns>n<number>@": CLOCK_MONOTONIC when it was sent, and its place in the order.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLOSED, WAITING, SHAKING, GREETED, OPEN };
enum { MARK_WITHIN = 256, MOST_SAMPLES = 4000000, EVENTS = 512 };

typedef struct {
    int fd, state, tries;
    uint32_t request_size, frames, marked;
    uint64_t last_number;
    int64_t due; /* when to try again; of an open one, when to say what was seen */
    uint64_t sight; /* the place up to which that is */
    bool told;
    char *request, *rest; /* rest: the beginning of a frame whose end is still to come */
    size_t rest_size;
} Client;

static int port, epoll_fd;
static Client *clients;
static int client_count, first_frames, open_count, in_flight, next_to_open;
static bool retrying;
static uint64_t failures, wanted, complete, marked, frames, bytes_read, echoes, disordered, heartbeats, lost;
static int seeing; /* ms */
static uint64_t said, told;
static int64_t told_at, first_at, last_at, read_at; /* read_at: when the bytes came that are looked at now */
static double *samples; /* ms */
static size_t sample_count;
static char echo_text[65536];
static size_t echo_size;
static char buffer[1 << 18];
static char last_failure[128];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void send_frame(Client *c, int opcode, const char *text, size_t size) {
    char out[65536 + 14];
    size_t n = 0;
    out[n++] = (char)(0x80 | opcode);
    if (size < 126) {
        out[n++] = (char)(0x80 | size);
    } else {
        out[n++] = (char)(0x80 | 126);
        out[n++] = (char)(size >> 8);
        out[n++] = (char)size;
    }
    memset(out + n, 0, 4); /* a mask of zeros leaves the text as it is */
    n += 4;
    memcpy(out + n, text, size);
    if (write(c->fd, out, n + size) < 0 && errno != EAGAIN) lost++;
}

static void forget(Client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    free(c->rest);
    c->rest = NULL;
    c->rest_size = 0;
}

static void fail(Client *c, const char *why) {
    if (c->state == OPEN) {
        open_count--;
        lost++;
    } else {
        in_flight--;
    }
    forget(c);
    failures++;
    snprintf(last_failure, sizeof last_failure, "%s", why);
    c->state = CLOSED;
    if (retrying) {
        int seconds = c->tries < 2 ? c->tries + 1 : 3;
        c->tries++;
        c->state = WAITING;
        c->due = now() + (int64_t)(drand48() * seconds * 1e9);
    }
}

static void begin(Client *c) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = SHAKING;
    c->frames = c->marked = 0;
    c->last_number = 0;
    in_flight++;
    if (connect(c->fd, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS) {
        fail(c, strerror(errno));
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLONESHOT, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void say_hello(Client *c) {
    if (write(c->fd, c->request, c->request_size) != (ssize_t)c->request_size) {
        fail(c, strerror(errno));
        return;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void now_open(Client *c) {
    c->state = OPEN;
    in_flight--;
    open_count++;
    if (echo_size) send_frame(c, 1, echo_text, echo_size);
}

/* The number that begins here; end: what follows it. strtoll takes three times as long. */
static int64_t digits(const char *text, const char **end) {
    int64_t value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    *end = text;
    return value;
}

static void note_mark(Client *c, const char *text, size_t size) {
    static const char ours[] = "{\"type\":\"notice\",\"position\":";
    const size_t begin = sizeof ours - 1;
    bool has_place = size > begin && !memcmp(text, ours, begin);
    size_t from = has_place ? begin : 0, within = size < MARK_WITHIN ? size : MARK_WITHIN;
    const char *mark = memmem(text + from, within - from, "@t", 2);
    if (!mark) return;
    const char *end;
    int64_t sent = digits(mark + 2, &end);
    /* Ours tells the place in the log; of the others, only the sender knows the order. */
    uint64_t number = (uint64_t)digits(has_place ? text + begin : end + 1, &end);
    if (number <= c->last_number) disordered++;
    c->last_number = number;
    if (sample_count < MOST_SAMPLES) samples[sample_count++] = (double)(read_at - sent) / 1e6;
    if (seeing && number > c->sight) {
        if (!c->due) c->due = read_at + 1000000000LL + (int64_t)(drand48() * seeing * 1e6);
        c->sight = number;
    }
    if (!marked) first_at = read_at;
    last_at = read_at;
    marked++;
    if (++c->marked == wanted) complete++;
}

static void take_frame(Client *c, int opcode, const char *text, size_t size) {
    if (opcode == 9) {
        send_frame(c, 10, text, size);
        return;
    }
    if (opcode == 8) {
        fail(c, "closed by the server");
        return;
    }
    frames++;
    if (c->state == GREETED && ++c->frames >= (uint32_t)first_frames) now_open(c);
    if (echo_size) {
        echoes++;
        send_frame(c, 1, echo_text, echo_size);
    } else if (size > 18 && !memcmp(text, "{\"type\":\"heartbeat\"", 19)) {
        const char *answer = "{\"type\":\"alive\",\"position\":0}";
        heartbeats++;
        send_frame(c, 1, answer, strlen(answer));
    } else if (size > 15 && !memcmp(text, "{\"type\":\"inbox\"", 15)) {
        if (c->sight && !c->told && memmem(text, size, "\"seen_through\"", 14)) {
            c->told = true;
            told++;
            told_at = read_at;
        }
    } else {
        note_mark(c, text, size);
    }
}

static void say_what_was_seen(void) {
    static int64_t looked;
    int64_t t = now();
    if (!seeing || t - looked < 5000000) return;
    looked = t;
    for (int i = 0; i < client_count; i++) {
        Client *c = &clients[i];
        if (c->state != OPEN || !c->due || c->due > t) continue;
        char text[80];
        int size = snprintf(text, sizeof text, "{\"type\":\"seen\",\"ids\":[],\"through\":%lu}", c->sight);
        send_frame(c, 1, text, (size_t)size);
        c->due = 0;
        said++;
    }
}

static void see(int ms) {
    seeing = ms;
    said = told = 0;
    for (int i = 0; i < client_count; i++) clients[i].due = 0, clients[i].sight = 0, clients[i].told = false;
    printf("{\"clients\": %d}\n", open_count);
}


/* Every whole frame in data; returns how much of it was used. */
static size_t take_frames(Client *c, const char *data, size_t size) {
    size_t at = 0;
    while (size - at >= 2 && c->fd >= 0) {
        const unsigned char *head = (const unsigned char *)data + at;
        size_t length = head[1] & 127, header = 2;
        if (length == 126) {
            if (size - at < 4) break;
            length = (size_t)head[2] << 8 | head[3];
            header = 4;
        } else if (length == 127) {
            if (size - at < 10) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | head[i];
            header = 10;
        }
        if (size - at < header + length) break;
        take_frame(c, head[0] & 15, data + at + header, length);
        at += header + length;
    }
    return at;
}

/* The answer to the handshake; returns how much of the data it was, 0 while it is not complete. */
static size_t take_answer(Client *c, const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data + 9, "101", 3)) {
        char why[64];
        snprintf(why, sizeof why, "answered %.3s", size < 12 ? "?" : data + 9);
        fail(c, why);
        return size;
    }
    c->state = GREETED;
    if (!first_frames) now_open(c);
    return (size_t)(end + 4 - data);
}

static void take(Client *c) {
    size_t held = c->rest_size;
    if (held) memcpy(buffer, c->rest, held);
    ssize_t got = read(c->fd, buffer + held, sizeof buffer - held);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        fail(c, got ? strerror(errno) : "the connection ended");
        return;
    }
    bytes_read += (uint64_t)got;
    read_at = now();
    size_t size = held + (size_t)got, used = 0;
    if (c->state == SHAKING) used = take_answer(c, buffer, size);
    if (c->fd >= 0 && c->state >= GREETED) used += take_frames(c, buffer + used, size - used);
    if (c->fd < 0) return;
    size_t left = size - used;
    if (left != held || left) {
        free(c->rest);
        c->rest = left ? malloc(left) : NULL;
        if (left) memcpy(c->rest, buffer + used, left);
        c->rest_size = left;
    }
}

/* One round of events; returns after so many ms at the latest. */
static void turn(int ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, ms);
    for (int i = 0; i < count; i++) {
        Client *c = events[i].data.ptr;
        if (!c || c->fd < 0) continue;
        if (c->state == SHAKING && events[i].events & EPOLLOUT) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) fail(c, strerror(error));
            else say_hello(c);
        } else {
            take(c);
        }
    }
    say_what_was_seen();
}

static void tell_seen(double seconds) {
    int64_t until = now() + (int64_t)(seconds * 1e9);
    while (told < (uint64_t)client_count && now() < until) turn(5);
    printf("{\"said\": %lu, \"told\": %lu, \"last\": %ld}\n", said, told, told_at);
}

static void open_more(int at_once) {
    while (in_flight < at_once && next_to_open < client_count) begin(&clients[next_to_open++]);
    if (!retrying) return;
    int64_t t = now();
    for (int i = 0; i < client_count && in_flight < at_once; i++)
        if (clients[i].state == WAITING && clients[i].due <= t) begin(&clients[i]);
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t size;
    client_count = 0;
    while (file && fread(&size, 4, 1, file) == 1) {
        clients = realloc(clients, sizeof *clients * (size_t)(client_count + 1));
        Client *c = &clients[client_count++];
        memset(c, 0, sizeof *c);
        c->fd = -1;
        c->request = malloc(size);
        c->request_size = size;
        if (fread(c->request, size, 1, file) != 1) break;
    }
    if (file) fclose(file);
}

static void open_all(char *arguments) {
    char path[4096];
    int at_once, retry;
    double seconds;
    if (sscanf(arguments, "%4095s %d %d %d %lf", path, &at_once, &first_frames, &retry, &seconds) != 5) {
        printf("{\"error\": \"open FILE AT_ONCE FRAMES RETRY SECONDS\"}\n");
        return;
    }
    read_requests(path);
    retrying = retry;
    failures = 0;
    open_count = in_flight = 0;
    next_to_open = 0;
    int64_t began = now(), until = began + (int64_t)(seconds * 1e9);
    double cpu = cpu_seconds();
    if (retrying) { /* they all lost their server just now */
        next_to_open = client_count;
        for (int i = 0; i < client_count; i++) {
            clients[i].state = WAITING;
            clients[i].due = began + (int64_t)(drand48() * 1e9);
            clients[i].tries = 1;
        }
    }
    while (open_count < client_count && now() < until && (retrying || in_flight || next_to_open < client_count)) {
        open_more(at_once);
        turn(2);
    }
    int64_t ended = now();
    printf("{\"opened\": %d, \"failures\": %lu, \"last_failure\": \"%s\", \"seconds\": %.4f, \"cpu\": %.4f, \"ended\": %ld}\n",
           open_count, failures, last_failure, (double)(ended - began) / 1e9, cpu_seconds() - cpu, ended);
    if (!retrying) retrying = false;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double part) {
    return sample_count ? samples[(size_t)(part * (double)(sample_count - 1))] : -1;
}

static double wanted_cpu;

static void want(uint64_t count) {
    wanted = count;
    complete = marked = frames = bytes_read = disordered = 0;
    sample_count = 0;
    for (int i = 0; i < client_count; i++) clients[i].marked = 0;
    wanted_cpu = cpu_seconds();
    printf("{\"clients\": %d}\n", open_count);
}

static void tell_wanted(void) {
    qsort(samples, sample_count, sizeof *samples, by_size);
    printf("{\"complete\": %s, \"clients\": %d, \"marked\": %lu, \"missing\": %ld, \"disordered\": %lu, \"lost\": %lu, "
           "\"first\": %ld, \"last\": %ld, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"bytes\": %lu, "
           "\"cpu\": %.5f}\n",
           complete >= (uint64_t)client_count ? "true" : "false", open_count, marked,
           (long)(wanted * (uint64_t)client_count) - (long)marked, disordered, lost, first_at, last_at, percentile(.5),
           percentile(.9), percentile(.99), percentile(1), bytes_read, cpu_seconds() - wanted_cpu);
}

static void idle(double seconds) {
    int64_t until = now() + (int64_t)(seconds * 1e9);
    heartbeats = lost = 0;
    while (now() < until) turn(20);
    printf("{\"clients\": %d, \"heartbeats\": %lu, \"lost\": %lu}\n", open_count, heartbeats, lost);
}

static void echo(double seconds, size_t size) {
    memset(echo_text, 'e', sizeof echo_text);
    echo_size = size;
    echoes = 0;
    for (int i = 0; i < client_count; i++)
        if (clients[i].state == OPEN) send_frame(&clients[i], 1, echo_text, echo_size);
    int64_t began = now(), until = began + (int64_t)(seconds * 1e9);
    double cpu = cpu_seconds();
    while (now() < until) turn(20);
    double took = (double)(now() - began) / 1e9;
    uint64_t count = echoes;
    echo_size = 0;
    for (int i = 0; i < 20; i++) turn(10); /* those that are under way */
    printf("{\"clients\": %d, \"echoes\": %lu, \"seconds\": %.4f, \"cpu\": %.4f}\n", open_count, count, took, cpu_seconds() - cpu);
}

static void close_all(void) {
    struct linger at_once = {1, 0}; /* no TIME_WAIT: the next round needs the ports */
    for (int i = 0; i < client_count; i++) {
        if (clients[i].fd >= 0) setsockopt(clients[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        forget(&clients[i]);
        free(clients[i].request);
    }
    client_count = open_count = in_flight = 0;
    retrying = false;
    printf("{\"closed\": true}\n");
}

/* Both ends of one TCP connection. */
static void pair_up(int listener, struct sockaddr_in *there, int *near, int *far) {
    *near = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*near, (struct sockaddr *)there, sizeof *there) < 0) perror("connect");
    *far = accept(listener, NULL, NULL);
    fcntl(*near, F_SETFL, O_NONBLOCK);
}

static void ceiling(int count, int each) {
    struct sockaddr_in there = {.sin_family = AF_INET};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof there;
    int listener = socket(AF_INET, SOCK_STREAM, 0), *far = malloc(sizeof(int) * (size_t)count);
    if (bind(listener, (struct sockaddr *)&there, sizeof there) < 0 || listen(listener, 1024) < 0) perror("listen");
    getsockname(listener, (struct sockaddr *)&there, &size);
    clients = calloc((size_t)count, sizeof *clients);
    client_count = open_count = count;
    for (int i = 0; i < count; i++) {
        pair_up(listener, &there, &clients[i].fd, &far[i]);
        clients[i].state = OPEN;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clients[i].fd, &e);
    }
    want((uint64_t)each);
    char *burst = malloc((size_t)each * 256);
    for (int i = 0; i < count; i++) {
        size_t n = 0;
        for (int k = 1; k <= each; k++) {
            memset(burst + n, 'x', 234);
            burst[n] = (char)0x81, burst[n + 1] = 126, burst[n + 2] = 0, burst[n + 3] = (char)230;
            int written = snprintf(burst + n + 64, 64, "@t%ldn%d@", now(), k);
            burst[n + 64 + written] = 'x';
            n += 234;
        }
        if (write(far[i], burst, n) != (ssize_t)n) perror("write");
    }
    int64_t began = now();
    while (complete < (uint64_t)count) turn(100);
    double took = (double)(now() - began) / 1e9;
    for (int i = 0; i < count; i++) close(far[i]), close(clients[i].fd);
    close(listener);
    client_count = open_count = 0;
    printf("{\"frames\": %d, \"seconds\": %.5f}\n", count * each, took);
}

static void obey(char *line) {
    double seconds;
    int a, b;
    unsigned long count;
    if (!strncmp(line, "open ", 5)) {
        open_all(line + 5);
    } else if (sscanf(line, "want %lu", &count) == 1) {
        want(count);
    } else if (sscanf(line, "wait %lf", &seconds) == 1) {
        int64_t until = now() + (int64_t)(seconds * 1e9);
        while (complete < (uint64_t)client_count && now() < until) turn(5);
        tell_wanted();
    } else if (sscanf(line, "echo %lf %d", &seconds, &a) == 2) {
        echo(seconds, (size_t)a);
    } else if (sscanf(line, "idle %lf", &seconds) == 1) {
        idle(seconds);
    } else if (sscanf(line, "see %d", &a) == 1) {
        see(a);
    } else if (sscanf(line, "seen %lf", &seconds) == 1) {
        tell_seen(seconds);
    } else if (!strncmp(line, "close", 5)) {
        close_all();
    } else if (sscanf(line, "ceiling %d %d", &a, &b) == 2) {
        ceiling(a, b);
    } else {
        printf("{\"error\": \"unknown command\"}\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "load PORT\n");
        return 2;
    }
    port = atoi(argv[1]);
    samples = malloc(sizeof *samples * MOST_SAMPLES);
    epoll_fd = epoll_create1(0);
    srand48(now());
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &e);
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    static char line[8192];
    size_t held = 0;
    fcntl(0, F_SETFL, O_NONBLOCK);
    for (;;) {
        ssize_t got = read(0, line + held, sizeof line - held - 1);
        if (got == 0) return 0;
        if (got < 0) {
            turn(20);
            continue;
        }
        held += (size_t)got;
        char *end;
        while ((end = memchr(line, '\n', held))) {
            *end = 0;
            size_t used = (size_t)(end + 1 - line);
            obey(line);
            memmove(line, end + 1, held - used);
            held -= used;
        }
    }
}
