/* The calibrator of the latency bench: a device and an echo over libmosquitto, as fast as C makes them.
 *
 *   calibrator echo   HOST PORT IN OUT                    send every message of IN back on OUT, QoS 1
 *   calibrator device HOST PORT OUT IN ACK RATE COUNT     publish COUNT samples on OUT at RATE a second, QoS 1, and
 *                                                         time each until an answer on IN that carries its number
 *
 * A sample is {"co2":N,...}; an answer carries N as "co2": (the echo) or "value": (a command). With ACK other than "-" the device
 * acknowledges each command by its "commandId", as a real one does. It prints one line a sample: microseconds, or -1 without an answer.
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

#define WARM_UP 200

static const char *out, *ack;
static int64_t *sent, *answered;
static long total;

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

static void acknowledge(struct mosquitto *m, const char *text) {
  const char *id = strstr(text, "\"commandId\":\"");
  if (!id || ack[0] == '-') return;
  id += 13;
  char body[256];
  int n = snprintf(body, sizeof body, "{\"commandId\":\"%.*s\",\"result\":\"Done\"}", (int)strcspn(id, "\""), id);
  mosquitto_publish(m, NULL, ack, n, body, 1, false);
}

static void on_answer(struct mosquitto *m, void *u, const struct mosquitto_message *msg) {
  (void)u;
  char text[4096];
  int n = msg->payloadlen < (int)sizeof text - 1 ? msg->payloadlen : (int)sizeof text - 1;
  memcpy(text, msg->payload, n);
  text[n] = 0;
  long number = number_after(text, "\"value\":");
  if (number < 0) number = number_after(text, "\"co2\":");
  if (number >= 0 && number < total && !answered[number]) answered[number] = now_ns();
  acknowledge(m, text);
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

static void drive(struct mosquitto *m, long rate) {
  int64_t start = now_ns() + 500000000, period = 1000000000 / rate;
  for (long i = 0; i < total; i++) {
    int64_t due = start + i * period;
    struct timespec t = {due / 1000000000, due % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    char body[128];
    int n = snprintf(body, sizeof body, "{\"co2\":%ld,\"light\":450.5,\"temperature\":21.25}", i);
    sent[i] = now_ns();
    mosquitto_publish(m, NULL, out, n, body, 1, false);
  }
  struct timespec rest = {2, 0};
  nanosleep(&rest, NULL);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  mosquitto_lib_init();
  if (!strcmp(argv[1], "echo")) {
    out = argv[5];
    return mosquitto_loop_forever(connected("bench-echo", argv[2], atoi(argv[3]), argv[4], on_echo), -1, 1);
  }
  if (argc < 9) return 2;
  out = argv[4];
  ack = argv[6];
  total = atol(argv[8]) + WARM_UP;
  sent = calloc(total, sizeof *sent);
  answered = calloc(total, sizeof *answered);
  struct mosquitto *m = connected("bench-device", argv[2], atoi(argv[3]), argv[5], on_answer);
  mosquitto_loop_start(m);
  drive(m, atol(argv[7]));
  for (long i = WARM_UP; i < total; i++)
    printf("%lld\n", answered[i] ? (long long)(answered[i] - sent[i]) / 1000 : -1LL);
  mosquitto_disconnect(m);
  mosquitto_loop_stop(m, true);
  return 0;
}
