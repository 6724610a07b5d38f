// As `../README.md` says, by the standard library. What comes in is ours to free; what goes out the bindings free.

#include "publish_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is(publish_plugin_string_t text, const char *other) {
  return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

static bool starts_with(publish_plugin_string_t text, const char *start) {
  return text.len >= strlen(start) && memcmp(text.ptr, start, strlen(start)) == 0;
}

static bool wants_payload(void) {
  publish_plugin_string_t key, value;
  publish_plugin_string_set(&key, "payload");
  if (!tidegate_plugin_config_get(&key, &value)) return true;
  bool wanted = !is(value, "false");
  publish_plugin_string_free(&value);
  return wanted;
}

bool exports_tidegate_plugin_lifecycle_init(exports_tidegate_plugin_lifecycle_start_t *start,
                                            exports_tidegate_plugin_lifecycle_list_scope_t *scopes,
                                            publish_plugin_string_t *error) {
  (void)error;
  exports_tidegate_plugin_lifecycle_start_free(start);
  scopes->len = 1;
  scopes->ptr = calloc(1, sizeof *scopes->ptr);
  publish_plugin_string_dup(&scopes->ptr->hook, "publish");
  if (wants_payload()) {
    publish_plugin_list_string_t *wants = &scopes->ptr->wants;
    wants->len = 1;
    wants->ptr = calloc(1, sizeof *wants->ptr);
    publish_plugin_string_dup(wants->ptr, "payload");
  }
  return true;
}

bool exports_tidegate_plugin_lifecycle_drain(publish_plugin_list_u8_t *state) {
  (void)state;
  return false;
}

static uint64_t random64(void) {
  uint64_t number;
  if (getentropy(&number, sizeof number) != 0) abort();
  return number;
}

// A JSON text.
static publish_plugin_list_u8_t std(void) {
  puts("hello from C");
  fflush(stdout);
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) abort();
  int64_t millis = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  char *text;
  int len = asprintf(&text, "{\"millis\":%" PRId64 ",\"random\":[\"%016" PRIx64 "\",\"%016" PRIx64 "\"]}", millis,
                     random64(), random64());
  if (len < 0) abort();
  return (publish_plugin_list_u8_t){(uint8_t *)text, (size_t)len};
}

void exports_tidegate_plugin_publish_on_publish(exports_tidegate_plugin_publish_message_t *message,
                                                exports_tidegate_plugin_publish_publish_verdict_t *verdict) {
  memset(verdict, 0, sizeof *verdict);
  publish_plugin_list_u8_t *payload = &message->extra.val.payload;
  if (starts_with(message->topic, "copy/") && message->extra.is_some) {
    verdict->tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_EDIT;
    verdict->val.edit.payload.is_some = true;
    verdict->val.edit.payload.val = *payload;
    *payload = (publish_plugin_list_u8_t){0};
  } else if (starts_with(message->topic, "std/")) {
    verdict->tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_EDIT;
    verdict->val.edit.payload.is_some = true;
    verdict->val.edit.payload.val = std();
  } else {
    verdict->tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_ACCEPT;
  }
  exports_tidegate_plugin_publish_message_free(message);
}
