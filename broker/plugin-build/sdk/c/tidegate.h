// Plugins for the Tidegate MQTT broker in C.
//
// A plugin is `plugin_init`, and a function for each hook that `tidegate-plugin.toml` names:
//
//   "auth"           tg_outcome_t plugin_authenticate(const tg_connect_t *client)
//   "acl"            tg_decision_t plugin_check(const tg_request_t *request)
//   "publish"        tg_verdict_t plugin_on_publish(const tg_message_t *message)
//   "subscribe"      tg_subscribe_verdict_t plugin_on_subscribe(const tg_subscribe_request_t *request)
//   "subscribers"    tg_answer_t plugin_select(const tg_message_t *message, const tg_candidates_t *candidates)
//   "deliver"        tg_deliver_verdict_t plugin_on_deliver(const tg_message_t *message, uint64_t session, tg_string_t client_id)
//   "events"         void plugin_on_event(const tg_event_t *event), and, if you like, void plugin_on_lost(uint64_t events)
//   "timer-handler"  void plugin_on_timer(uint64_t token)
//
// Below this layer is `build/work/bindings/tg.h`, which is made of `plugin.wit` when the plugin is built and has everything, by the names in `plugin.wit`.
// Other hooks ("enhanced-auth", "publish-batch", "storage") are the functions `exports_tidegate_plugin_…` in there.
//
// What a hook is given is gone when it returns. What it returns belongs to the broker: make it by the functions here, which copy.
// Texts have a length, and no zero at their end: "%.*s" with TG_ARG(text) prints them. What is empty may be at NULL.

#pragma once

#include "hooks.h"
#include "tg.h"
#include "tidegate_json.h"

#include <stdarg.h>
#include <stdio.h>

// ---- Texts ----

// For "%.*s", which stops at a zero. Topics and client ids have none; payloads may.
#define TG_ARG(text) (int)(text).len, (const char *)(text).ptr

static inline tg_string_t tg_text_of_(tg_string_t text) { return text; }

static inline tg_string_t tg_text_of_chars_(const char *text) {
  tg_string_t of;
  tg_string_set(&of, text);
  return of;
}

// What is said to take a text, here and below, takes a `tg_string_t` as well as what ends with a zero. This makes one of either, without a copy.
#define tg_text(text) _Generic((text), tg_string_t: tg_text_of_, default: tg_text_of_chars_)(text)

// Whether a `tg_string_t` says the same as a text.
#define tg_is(text, other) tg_is_(text, tg_text(other))

static inline bool tg_is_(tg_string_t text, tg_string_t other) {
  return text.len == other.len && tg_equal_(text.ptr, other.ptr, text.len);
}

// Whether a `tg_string_t` begins with a text.
#define tg_starts_with(text, start) tg_starts_with_(text, tg_text(start))

static inline bool tg_starts_with_(tg_string_t text, tg_string_t start) {
  return text.len >= start.len && tg_equal_(text.ptr, start.ptr, start.len);
}

// Whether one of these characters is in it.
static inline bool tg_has_any(tg_string_t text, const char *characters) {
  for (size_t at = 0; at < text.len; at++) {
    if (text.ptr[at] && strchr(characters, text.ptr[at])) return true;
  }
  return false;
}

// A copy of bytes.
static inline tg_list_u8_t tg_bytes(const void *bytes, size_t len) {
  tg_list_u8_t copy = {tg_alloc(len), len};
  if (len > 0) memcpy(copy.ptr, bytes, len);
  return copy;
}

static inline tg_string_t tg_vprint_(const char *format, va_list values) {
  va_list again;
  va_copy(again, values);
  int len = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (len < 0) abort();
  // The bindings free nothing of this length.
  if (len == 0) return (tg_string_t){(uint8_t *)"", 0};
  char *text = tg_alloc((size_t)len + 1);
  vsnprintf(text, (size_t)len + 1, format, values);
  return (tg_string_t){(uint8_t *)text, (size_t)len};
}

// A text, as `printf` would print it, to be freed by `tg_string_free` or given to the broker. A zero follows it.
__attribute__((format(printf, 1, 2))) static inline tg_string_t tg_print(const char *format, ...) {
  va_list values;
  va_start(values, format);
  tg_string_t text = tg_vprint_(format, values);
  va_end(values);
  return text;
}

// A copy of a text, zeros and all, in the same way.
#define tg_copy(text) tg_copy_(tg_text(text))

static inline tg_string_t tg_copy_(tg_string_t text) {
  if (text.len == 0) return (tg_string_t){(uint8_t *)"", 0};
  uint8_t *copy = tg_alloc(text.len + 1);
  memcpy(copy, text.ptr, text.len);
  return (tg_string_t){copy, text.len};
}

// ---- What the broker lends ----

enum {
  TG_TRACE = TIDEGATE_PLUGIN_LOGGING_LEVEL_TRACE,
  TG_DEBUG = TIDEGATE_PLUGIN_LOGGING_LEVEL_DEBUG,
  TG_INFO = TIDEGATE_PLUGIN_LOGGING_LEVEL_INFO,
  TG_WARN = TIDEGATE_PLUGIN_LOGGING_LEVEL_WARN,
  TG_ERROR = TIDEGATE_PLUGIN_LOGGING_LEVEL_ERROR,
};

// A line in the broker's log.
__attribute__((format(printf, 2, 3))) static inline void tg_log(uint8_t level, const char *format, ...) {
  if (!tidegate_plugin_logging_enabled(level)) return;
  va_list values;
  va_start(values, format);
  tg_string_t text = tg_vprint_(format, values);
  va_end(values);
  tg_list_tuple2_string_string_t fields = {0};
  tidegate_plugin_logging_log(level, &text, &fields);
  tg_string_free(&text);
}

// A secret that the operator granted by this name. False: not granted. To be freed by `tg_string_free`.
static inline bool tg_secret(tg_string_t name, tg_string_t *secret) {
  // The bindings write even what is not there.
  tg_string_t found;
  bool is_there = tidegate_plugin_config_secret(&name, &found);
  if (is_there) *secret = found;
  return is_there;
}

// One key of the plugin's config: a string as it is, anything else as JSON. False: it is not there. To be freed by `tg_string_free`.
static inline bool tg_config(const char *key, tg_string_t *value) {
  tg_string_t name = tg_text(key), found;
  bool is_there = tidegate_plugin_config_get(&name, &found);
  if (is_there) *value = found;
  return is_there;
}

// In the whole config, where a value shows what type it is of. False: it is not there. The document is to be freed if it is.
static inline bool tg_config_json_(const char *key, tg_string_t *document, tg_json_t *value) {
  tidegate_plugin_config_document(document);
  *value = tg_json_member(tg_json(document->ptr, document->len), key);
  if (!value->at) tg_string_free(document);
  return value->at;
}

static inline const char *tg_config_wrong_(tg_string_t *document, bool good, const char *key, const char *expected) {
  tg_string_free(document);
  return good ? NULL : (const char *)tg_print("config key `%s`: expected %s", key, expected).ptr;
}

static inline void tg_push_(tg_list_string_t *list, tg_string_t text) {
  list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
  if (!list->ptr) abort();
  list->ptr[list->len++] = text;
}

// The next four take a value from the config, and leave what is there already if the config does not say. They return NULL, or what is wrong, such
// as a value of another type, for `plugin_init` to return.

static inline const char *tg_config_text(const char *key, tg_string_t *text) {
  tg_string_t document, found;
  tg_json_t value;
  if (!tg_config_json_(key, &document, &value)) return NULL;
  bool good = tg_json_text(value, &found);
  if (good) *text = found;
  return tg_config_wrong_(&document, good, key, "a text");
}

static inline const char *tg_config_number(const char *key, double *number) {
  tg_string_t document;
  tg_json_t value;
  if (!tg_config_json_(key, &document, &value)) return NULL;
  return tg_config_wrong_(&document, tg_json_number(value, number), key, "a number");
}

static inline const char *tg_config_bool(const char *key, bool *yes) {
  tg_string_t document;
  tg_json_t value;
  if (!tg_config_json_(key, &document, &value)) return NULL;
  tg_string_t word = {(uint8_t *)value.at, (size_t)(value.end - value.at)};
  bool good = tg_is(word, "true") || tg_is(word, "false");
  if (good) *yes = tg_is(word, "true");
  return tg_config_wrong_(&document, good, key, "true or false");
}

static inline const char *tg_config_list(const char *key, tg_list_string_t *list) {
  tg_string_t document, text;
  tg_json_t value, none, item;
  if (!tg_config_json_(key, &document, &value)) return NULL;
  tg_json_t inside = tg_json_inside(value);
  bool good = *value.at == '[';
  *list = (tg_list_string_t){0};
  while (good && tg_json_next(&inside, &none, &item)) {
    good = tg_json_text(item, &text);
    if (good) tg_push_(list, text);
  }
  return tg_config_wrong_(&document, good, key, "a list of texts");
}

// NULL if the config has no keys but these, which stand here with a blank between them. Else what is wrong.
static inline const char *tg_config_has_only(const char *keys) {
  tg_string_t document, name;
  tidegate_plugin_config_document(&document);
  tg_json_t inside = tg_json_inside(tg_json(document.ptr, document.len)), key, value;
  const char *wrong = NULL;
  while (!wrong && tg_json_next(&inside, &key, &value)) {
    if (!tg_json_text(key, &name)) continue;
    bool known = false;
    for (const char *at = keys; *at && !known; at += strcspn(at, " "), at += strspn(at, " ")) {
      known = strcspn(at, " ") == name.len && tg_equal_(at, name.ptr, name.len);
    }
    if (!known) wrong = (const char *)tg_print("config key `%.*s`: unknown; there are: %s", TG_ARG(name), keys).ptr;
    tg_string_free(&name);
  }
  tg_string_free(&document);
  return wrong;
}

// ---- The beginning and the end ----

typedef exports_tidegate_plugin_lifecycle_start_t tg_start_t;
typedef exports_tidegate_plugin_lifecycle_scope_t tg_scope_t;
typedef exports_tidegate_plugin_lifecycle_list_scope_t tg_scopes_t;

// Called once an instance, before anything else. Says by `tg_scope` what the plugin wants to hear of. NULL, or why it cannot run.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes);

// Another generation is about to take its place: false, or what that one finds in `start->state`, by `tg_bytes`. Need not be there.
__attribute__((weak)) bool plugin_drain(tg_list_u8_t *state);

// A hook is about these topics, and no others. To be narrowed by the next two, before the next `tg_scope`.
static inline tg_scope_t *tg_scope(tg_scopes_t *scopes, const char *hook) {
  scopes->ptr = realloc(scopes->ptr, (scopes->len + 1) * sizeof *scopes->ptr);
  if (!scopes->ptr) abort();
  tg_scope_t *scope = &scopes->ptr[scopes->len++];
  *scope = (tg_scope_t){0};
  tg_string_dup(&scope->hook, hook);
  return scope;
}

// Topics that match this filter, a text. Without any: all.
#define tg_about(scope, filter) tg_about_(scope, tg_copy(filter))

static inline void tg_about_(tg_scope_t *scope, tg_string_t filter) { tg_push_(&scope->filters, filter); }

// Topics that match one of these filters.
static inline void tg_about_all(tg_scope_t *scope, const tg_list_string_t *filters) {
  for (size_t at = 0; at < filters->len; at++) tg_about(scope, filters->ptr[at]);
}

// A field that is wanted ("payload", "client-id", "username", "properties"; for "subscribers" "filter"), or a kind of event.
static inline void tg_want(tg_scope_t *scope, const char *field) { tg_push_(&scope->wants, tg_copy(field)); }

// The C library's standard output, if the plugin has any use for it: to ask for `stdout` would bring 24 KiB into all of them.
extern FILE *volatile __stdout_used __attribute__((weak));

__attribute__((weak)) bool exports_tidegate_plugin_lifecycle_init(tg_start_t *start, tg_scopes_t *scopes, tg_string_t *error) {
  // The broker's log takes what is printed line by line.
  if (&__stdout_used && __stdout_used) setvbuf(__stdout_used, NULL, _IOLBF, 0);
  *scopes = (tg_scopes_t){0};
  const char *wrong = plugin_init(start, scopes);
  exports_tidegate_plugin_lifecycle_start_free(start);
  if (wrong) *error = tg_print("%s", wrong);
  return !wrong;
}

__attribute__((weak)) bool exports_tidegate_plugin_lifecycle_drain(tg_list_u8_t *state) {
  return plugin_drain && plugin_drain(state);
}

#include "tidegate_hooks.h"
