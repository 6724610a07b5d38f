// The hooks, and what may be answered. Part of `tidegate.h`.

#pragma once

// Reason codes of refusals (section 2.4 of MQTT 5).
enum {
  TG_UNSPECIFIED_ERROR = 0x80,
  TG_IMPLEMENTATION_SPECIFIC_ERROR = 0x83,
  TG_CLIENT_IDENTIFIER_NOT_VALID = 0x85,
  TG_BAD_USER_NAME_OR_PASSWORD = 0x86,
  TG_NOT_AUTHORIZED = 0x87,
  TG_SERVER_UNAVAILABLE = 0x88,
  TG_SERVER_BUSY = 0x89,
  TG_BANNED = 0x8A,
  TG_BAD_AUTHENTICATION_METHOD = 0x8C,
  TG_TOPIC_FILTER_INVALID = 0x8F,
  TG_TOPIC_NAME_INVALID = 0x90,
  TG_PACKET_TOO_LARGE = 0x95,
  TG_QUOTA_EXCEEDED = 0x97,
  TG_PAYLOAD_FORMAT_INVALID = 0x99,
  TG_QOS_NOT_SUPPORTED = 0x9B,
};

typedef tidegate_plugin_types_message_t tg_message_t;
typedef tidegate_plugin_types_patch_t tg_patch_t;

// What the message carries, if the scope wants "payload"; else nothing.
static inline tg_list_u8_t tg_payload(const tg_message_t *message) {
  return message->extra.is_some ? message->extra.val.payload : (tg_list_u8_t){0};
}

// An edit: to be filled by the next two.
static inline tg_patch_t tg_patch(void) { return (tg_patch_t){0}; }

static inline void tg_patch_payload(tg_patch_t *patch, const void *payload, size_t len) {
  patch->payload.is_some = true;
  patch->payload.val = tg_bytes(payload, len);
}

// `topic` is a text.
#define tg_patch_topic(patch, topic) tg_patch_topic_(patch, tg_copy(topic))

static inline void tg_patch_topic_(tg_patch_t *patch, tg_string_t topic) { patch->topic = (tg_option_string_t){true, topic}; }

#ifdef TIDEGATE_AUTH

typedef tidegate_plugin_types_connect_t tg_connect_t;
typedef tidegate_plugin_types_auth_outcome_t tg_outcome_t;

// Who comes in, and as whom.
tg_outcome_t plugin_authenticate(const tg_connect_t *client);

enum { TG_PUBLISH, TG_SUBSCRIBE, TG_RECEIVE };

// Others decide.
static inline tg_outcome_t tg_auth_next(void) { return (tg_outcome_t){.tag = TIDEGATE_PLUGIN_TYPES_AUTH_OUTCOME_NEXT}; }

// It stays out, for this reason.
static inline tg_outcome_t tg_auth_refuse(uint8_t code) {
  return (tg_outcome_t){.tag = TIDEGATE_PLUGIN_TYPES_AUTH_OUTCOME_REFUSE, .val.refuse.code = code};
}

// It comes in. Without rules others decide what it may do; see the next two.
static inline tg_outcome_t tg_auth_grant(void) { return (tg_outcome_t){.tag = TIDEGATE_PLUGIN_TYPES_AUTH_OUTCOME_GRANT}; }

// The first rule that applies decides; the filter is a text, in which `%c` and `%u` stand for client id and user name.
#define tg_allow(grant, action, filter) tg_rule_(grant, true, action, tg_copy(filter))
#define tg_deny(grant, action, filter) tg_rule_(grant, false, action, tg_copy(filter))

static inline void tg_rule_(tg_outcome_t *grant, bool allow, uint8_t action, tg_string_t filter) {
  tidegate_plugin_types_list_rule_t *rules = &grant->val.grant.rules;
  rules->ptr = realloc(rules->ptr, (rules->len + 1) * sizeof *rules->ptr);
  if (!rules->ptr) abort();
  rules->ptr[rules->len++] = (tidegate_plugin_types_rule_t){allow, action, filter, 2};
}

// Takes as long whatever differs, so that nobody can find a password out letter by letter.
static inline bool tg_same(const void *a, size_t a_len, const void *b, size_t b_len) {
  const volatile uint8_t *x = a, *y = b;
  uint8_t differences = 0;
  if (a_len != b_len) return false;
  for (size_t at = 0; at < a_len; at++) differences |= (uint8_t)(x[at] ^ y[at]);
  return differences == 0;
}

__attribute__((weak)) void exports_tidegate_plugin_auth_authenticate(tg_connect_t *client, tg_outcome_t *outcome) {
  *outcome = plugin_authenticate(client);
  tidegate_plugin_types_connect_free(client);
}

#endif
#ifdef TIDEGATE_ACL

typedef exports_tidegate_plugin_acl_request_t tg_request_t;
typedef exports_tidegate_plugin_acl_decision_t tg_decision_t;

// May this client do this? Must answer at once.
tg_decision_t plugin_check(const tg_request_t *request);

static inline tg_decision_t tg_acl_next(void) { return (tg_decision_t){.tag = EXPORTS_TIDEGATE_PLUGIN_ACL_DECISION_NEXT}; }

// The answer holds for this client on every topic under `filter`, a text, for `ttl_ms` (0: this once). The filter must hold the topic asked about.
#define tg_acl_allow(filter, ttl_ms) tg_acl_(EXPORTS_TIDEGATE_PLUGIN_ACL_DECISION_ALLOW, tg_copy(filter), ttl_ms)
#define tg_acl_deny(filter, ttl_ms) tg_acl_(EXPORTS_TIDEGATE_PLUGIN_ACL_DECISION_DENY, tg_copy(filter), ttl_ms)

static inline tg_decision_t tg_acl_(uint8_t tag, tg_string_t filter, uint32_t ttl_ms) {
  return (tg_decision_t){.tag = tag, .val.allow = {filter, ttl_ms}};
}

__attribute__((weak)) void exports_tidegate_plugin_acl_check(tg_request_t *request, tg_decision_t *decision) {
  *decision = plugin_check(request);
  exports_tidegate_plugin_acl_request_free(request);
}

#endif
#ifdef TIDEGATE_PUBLISH

typedef tidegate_plugin_types_publish_verdict_t tg_verdict_t;

// What becomes of a message? Must answer at once, unless the plugin was granted `http` or `tcp`.
tg_verdict_t plugin_on_publish(const tg_message_t *message);

// As it is; the next plugin is asked.
static inline tg_verdict_t tg_publish_next(void) { return (tg_verdict_t){.tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_NEXT}; }
// As it is; nobody else is asked.
static inline tg_verdict_t tg_publish_accept(void) { return (tg_verdict_t){.tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_ACCEPT}; }
// Acknowledged, and delivered to nobody.
static inline tg_verdict_t tg_publish_swallow(void) { return (tg_verdict_t){.tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_SWALLOW}; }
static inline tg_verdict_t tg_publish_refuse(uint8_t code) {
  return (tg_verdict_t){.tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_REFUSE, .val.refuse = code};
}
// Changed; the next plugin is asked about what it is now.
static inline tg_verdict_t tg_publish_edit(tg_patch_t patch) {
  return (tg_verdict_t){.tag = TIDEGATE_PLUGIN_TYPES_PUBLISH_VERDICT_EDIT, .val.edit = patch};
}

__attribute__((weak)) void exports_tidegate_plugin_publish_on_publish(tg_message_t *message, tg_verdict_t *verdict) {
  *verdict = plugin_on_publish(message);
  tidegate_plugin_types_message_free(message);
}

#endif
#ifdef TIDEGATE_SUBSCRIBE

typedef exports_tidegate_plugin_subscribe_request_t tg_subscribe_request_t;
typedef exports_tidegate_plugin_subscribe_verdict_t tg_subscribe_verdict_t;

// What becomes of a subscription? Must answer at once, unless the plugin was granted `http` or `tcp`.
tg_subscribe_verdict_t plugin_on_subscribe(const tg_subscribe_request_t *request);

static inline tg_subscribe_verdict_t tg_subscribe_next(void) {
  return (tg_subscribe_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBE_VERDICT_NEXT};
}
static inline tg_subscribe_verdict_t tg_subscribe_accept(void) {
  return (tg_subscribe_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBE_VERDICT_ACCEPT};
}
static inline tg_subscribe_verdict_t tg_subscribe_refuse(uint8_t code) {
  return (tg_subscribe_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBE_VERDICT_REFUSE, .val.refuse = code};
}
// To another filter, a text.
#define tg_subscribe_edit(filter) tg_subscribe_edit_(tg_copy(filter))

static inline tg_subscribe_verdict_t tg_subscribe_edit_(tg_string_t filter) {
  tg_subscribe_verdict_t verdict = {.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBE_VERDICT_EDIT};
  verdict.val.edit.filter = (tg_option_string_t){true, filter};
  return verdict;
}

__attribute__((weak)) void exports_tidegate_plugin_subscribe_on_subscribe(exports_tidegate_plugin_subscribe_list_request_t *requests,
                                                                          exports_tidegate_plugin_subscribe_list_verdict_t *verdicts) {
  verdicts->len = requests->len;
  verdicts->ptr = tg_alloc(requests->len * sizeof *verdicts->ptr);
  for (size_t at = 0; at < requests->len; at++) verdicts->ptr[at] = plugin_on_subscribe(&requests->ptr[at]);
  exports_tidegate_plugin_subscribe_list_request_free(requests);
}

#endif
#ifdef TIDEGATE_SUBSCRIBERS

typedef exports_tidegate_plugin_subscribers_list_candidate_t tg_candidates_t;
typedef exports_tidegate_plugin_subscribers_answer_t tg_answer_t;

// Who of those whose subscriptions match gets a message?
tg_answer_t plugin_select(const tg_message_t *message, const tg_candidates_t *candidates);

// Which member of a shared subscription, by index; -1: the broker chooses. Need not be there.
__attribute__((weak)) int64_t plugin_pick(const tg_message_t *message, tg_string_t group, const tg_candidates_t *members);

static inline tg_list_u32_t tg_indexes_(const uint32_t *indexes, size_t len) {
  tg_list_u32_t copy = {tg_alloc(len * sizeof *indexes), len};
  if (len > 0) memcpy(copy.ptr, indexes, len * sizeof *indexes);
  return copy;
}

static inline tg_answer_t tg_select_all(void) {
  return (tg_answer_t){.choice.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBERS_CHOICE_ALL};
}
// Those, by index, and nobody else.
static inline tg_answer_t tg_select_only(const uint32_t *indexes, size_t len) {
  tg_answer_t answer = {.choice.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBERS_CHOICE_ONLY};
  answer.choice.val.only = tg_indexes_(indexes, len);
  return answer;
}
// Everybody but those, by index.
static inline tg_answer_t tg_select_except(const uint32_t *indexes, size_t len) {
  tg_answer_t answer = {.choice.tag = EXPORTS_TIDEGATE_PLUGIN_SUBSCRIBERS_CHOICE_EXCEPT};
  answer.choice.val.except = tg_indexes_(indexes, len);
  return answer;
}

__attribute__((weak)) void exports_tidegate_plugin_subscribers_select(tg_message_t *message, tg_candidates_t *candidates, tg_answer_t *answer) {
  *answer = plugin_select(message, candidates);
  tidegate_plugin_types_message_free(message);
  exports_tidegate_plugin_subscribers_list_candidate_free(candidates);
}

__attribute__((weak)) bool exports_tidegate_plugin_subscribers_pick(tg_message_t *message, tg_string_t *group, tg_candidates_t *members,
                                                                    uint32_t *index) {
  int64_t picked = plugin_pick ? plugin_pick(message, *group, members) : -1;
  *index = (uint32_t)picked;
  tidegate_plugin_types_message_free(message);
  tg_string_free(group);
  exports_tidegate_plugin_subscribers_list_candidate_free(members);
  return picked >= 0;
}

#endif
#ifdef TIDEGATE_DELIVER

typedef exports_tidegate_plugin_deliver_verdict_t tg_deliver_verdict_t;

// What does this recipient get of a message? The scope must name topics.
tg_deliver_verdict_t plugin_on_deliver(const tg_message_t *message, uint64_t session, tg_string_t client_id);

static inline tg_deliver_verdict_t tg_deliver_next(void) {
  return (tg_deliver_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_DELIVER_VERDICT_NEXT};
}
static inline tg_deliver_verdict_t tg_deliver_drop(void) {
  return (tg_deliver_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_DELIVER_VERDICT_DROP};
}
static inline tg_deliver_verdict_t tg_deliver_edit(tg_patch_t patch) {
  return (tg_deliver_verdict_t){.tag = EXPORTS_TIDEGATE_PLUGIN_DELIVER_VERDICT_EDIT, .val.edit = patch};
}

__attribute__((weak)) void exports_tidegate_plugin_deliver_on_deliver(tg_message_t *message, uint64_t session, tg_string_t *client_id,
                                                                      tg_deliver_verdict_t *verdict) {
  *verdict = plugin_on_deliver(message, session, *client_id);
  tidegate_plugin_types_message_free(message);
  tg_string_free(client_id);
}

#endif
#ifdef TIDEGATE_EVENTS

typedef exports_tidegate_plugin_events_event_t tg_event_t;

// Something has happened.
void plugin_on_event(const tg_event_t *event);

// So many events were dropped, before those that it is told next: they came faster than they were taken. Need not be there.
__attribute__((weak)) void plugin_on_lost(uint64_t events);

__attribute__((weak)) void exports_tidegate_plugin_events_on_events(exports_tidegate_plugin_events_list_event_t *batch, uint64_t lost) {
  if (lost > 0 && plugin_on_lost) plugin_on_lost(lost);
  for (size_t at = 0; at < batch->len; at++) plugin_on_event(&batch->ptr[at]);
  exports_tidegate_plugin_events_list_event_free(batch);
}

#endif
#ifdef TIDEGATE_TIMER_HANDLER

// A timer that was set by `tidegate_plugin_timers_set` is due.
void plugin_on_timer(uint64_t token);

__attribute__((weak)) void exports_tidegate_plugin_timer_handler_on_timer(uint64_t token) { plugin_on_timer(token); }

#endif
