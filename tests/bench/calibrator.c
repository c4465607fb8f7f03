/* The calibrator of the benches: devices and an echo over libmosquitto, as fast as C makes them.
 *
 *   calibrator echo   HOST PORT IN OUT                              send every message of IN back on OUT, QoS 1
 *   calibrator listen HOST PORT IN                                  take every message of IN, QoS 1, read its number and forget it
 *   calibrator device HOST PORT OUT IN ACK RATE COUNT [DEVICES]     publish COUNT samples on OUT at RATE a second, QoS 1, and
 *                                                                   time each until an answer on IN that carries its number
 *   calibrator knock  HOST PORT OUT IN ACK SECONDS                  publish until the first answer; ends with 1 if none comes
 *
 * A sample is {"co2":N,...}; an answer carries N as "co2": (the echo) or "value": (a command). With ACK other than "-" the device
 * acknowledges each command by its "commandId", as a real one does. In OUT and ACK, {device} is rig-0000, rig-0001, ... in turn, for
 * each of DEVICES; in an answer's topic it is the second level. Before COUNT samples it sends one second of them to warm up, but no
 * more than 200. It prints one line a sample, those first: microseconds, or -1 without an answer.
 */
#include <mosquitto.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_WARM_UP 200
#define REST_NS 2000000000
#define KNOCK_NS 20000000

static const char *out, *ack;
static int64_t *sent, *answered;
static long total, devices = 1;
static volatile long count;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long number_after(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void on_echo(struct mosquitto *m, void *u, const struct mosquitto_message *msg) {
  (void)u;
  mosquitto_publish(m, NULL, out, msg->payloadlen, msg->payload, 1, false);
}

static void on_message(struct mosquitto *m, void *u, const struct mosquitto_message *msg) {
  (void)m, (void)u;
  char text[4096];
  int n = msg->payloadlen < (int)sizeof text - 1 ? msg->payloadlen : (int)sizeof text - 1;
  memcpy(text, msg->payload, n);
  text[n] = 0;
  count += number_after(text, "\"co2\":") >= 0;
}

/* Writes a topic with {device} replaced. */
static const char *topic(char *into, size_t size, const char *pattern, const char *device, int length) {
  const char *at = strstr(pattern, "{device}");
  if (!at) return pattern;
  snprintf(into, size, "%.*s%.*s%s", (int)(at - pattern), pattern, length, device, at + 8);
  return into;
}

static void acknowledge(struct mosquitto *m, const char *from, const char *text) {
  const char *id = strstr(text, "\"commandId\":\"");
  if (!id || ack[0] == '-') return;
  id += 13;
  const char *device = strchr(from, '/');
  device = device ? device + 1 : "";
  char body[256], name[256];
  int n = snprintf(body, sizeof body, "{\"commandId\":\"%.*s\",\"result\":\"Done\"}", (int)strcspn(id, "\""), id);
  mosquitto_publish(m, NULL, topic(name, sizeof name, ack, device, (int)strcspn(device, "/")), n, body, 1, false);
}

static void on_answer(struct mosquitto *m, void *u, const struct mosquitto_message *msg) {
  (void)u;
  char text[4096];
  int n = msg->payloadlen < (int)sizeof text - 1 ? msg->payloadlen : (int)sizeof text - 1;
  memcpy(text, msg->payload, n);
  text[n] = 0;
  long number = number_after(text, "\"value\":");
  if (number < 0) number = number_after(text, "\"co2\":");
  if (number >= 0 && number < total && !answered[number]) {
    answered[number] = now_ns();
    count++;
  }
  acknowledge(m, msg->topic, text);
}

static struct mosquitto *connected(const char *id, const char *host, int port, const char *in,
                                   void (*handler)(struct mosquitto *, void *, const struct mosquitto_message *)) {
  struct mosquitto *m = mosquitto_new(id, true, NULL);
  mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_max_inflight_messages_set(m, 0);
  mosquitto_message_callback_set(m, handler);
  if (mosquitto_connect(m, host, port, 60) || mosquitto_subscribe(m, NULL, in, 1)) {
    fprintf(stderr, "no broker at %s:%d\n", host, port);
    exit(1);
  }
  return m;
}

static void rest(int64_t ns) {
  struct timespec t = {ns / 1000000000, ns % 1000000000};
  nanosleep(&t, NULL);
}

static void publish(struct mosquitto *m, long i) {
  char body[128], device[16], name[256];
  int n = snprintf(body, sizeof body, "{\"co2\":%ld,\"light\":450.5,\"temperature\":21.25}", i);
  int length = snprintf(device, sizeof device, "rig-%04ld", i % devices);
  sent[i] = now_ns();
  mosquitto_publish(m, NULL, topic(name, sizeof name, out, device, length), n, body, 1, false);
}

static void drive(struct mosquitto *m, long rate) {
  int64_t start = now_ns() + 500000000, period = 1000000000 / rate;
  for (long i = 0; i < total; i++) {
    int64_t due = start + i * period;
    struct timespec t = {due / 1000000000, due % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    publish(m, i);
  }
  for (int64_t end = now_ns() + REST_NS; count < total && now_ns() < end;) rest(10000000);
}

static int knock(struct mosquitto *m) {
  for (long i = 0; i < total && !count; i++) {
    publish(m, i);
    for (int64_t end = now_ns() + KNOCK_NS; !count && now_ns() < end;) rest(1000000);
  }
  return count ? 0 : 1;
}

static void print_trips(void) {
  for (long i = 0; i < total; i++)
    printf("%lld\n", answered[i] ? (long long)(answered[i] - sent[i]) / 1000 : -1LL);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  mosquitto_lib_init();
  if (!strcmp(argv[1], "listen"))
    return mosquitto_loop_forever(connected("bench-listener", argv[2], atoi(argv[3]), argv[4], on_message), -1, 1);
  if (argc < 6) return 2;
  if (!strcmp(argv[1], "echo")) {
    out = argv[5];
    return mosquitto_loop_forever(connected("bench-echo", argv[2], atoi(argv[3]), argv[4], on_echo), -1, 1);
  }
  int is_knock = !strcmp(argv[1], "knock");
  if (argc < (is_knock ? 8 : 9)) return 2;
  out = argv[4];
  ack = argv[6];
  long rate = atol(argv[7]);
  long warm_up = rate < MOST_WARM_UP ? rate : MOST_WARM_UP;
  total = is_knock ? rate * (1000000000 / KNOCK_NS) : atol(argv[8]) + warm_up;
  if (argc > 9) devices = atol(argv[9]);
  sent = calloc(total, sizeof *sent);
  answered = calloc(total, sizeof *answered);
  struct mosquitto *m = connected("bench-device", argv[2], atoi(argv[3]), argv[5], on_answer);
  mosquitto_loop_start(m);
  int code = 0;
  if (is_knock) {
    code = knock(m);
  } else {
    drive(m, rate);
    print_trips();
  }
  mosquitto_disconnect(m);
  mosquitto_loop_stop(m, true);
  return code;
}
