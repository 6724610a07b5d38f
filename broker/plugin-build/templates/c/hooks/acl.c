// {{name}}: below `devices/` each client has a topic of its own, `devices/CLIENT-ID/…`.

#include "tidegate.h"

// For how long the broker may remember what a client may do.
static double ttl_seconds = 60;

// `[plugin.{{name}}.config]` in the broker's config has `ttl_seconds`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  const char *wrong = tg_config_has_only("ttl_seconds");
  if (!wrong) wrong = tg_config_number("ttl_seconds", &ttl_seconds);
  if (!wrong && !(ttl_seconds >= 0 && ttl_seconds <= UINT32_MAX / 1000)) wrong = "config key `ttl_seconds`: expected 0 to 4294967";
  // Other topics are for others to decide about.
  tg_about(tg_scope(scopes, "acl"), "devices/#");
  return wrong;
}

tg_decision_t plugin_check(const tg_request_t *request) {
  tg_string_t own = tg_print("devices/%.*s/", TG_ARG(request->client_id)), all_of_it = tg_print("%.*s#", TG_ARG(own));
  // A client id may hold anything, but reaches no further than its level.
  bool is_level = request->client_id.len > 0 && !tg_has_any(request->client_id, "/+#");
  bool is_own = is_level && tg_starts_with(request->topic, own);
  tg_decision_t decision = is_own ? tg_acl_allow(all_of_it, (uint32_t)(ttl_seconds * 1000)) : tg_acl_deny(request->topic, 0);
  tg_string_free(&own);
  tg_string_free(&all_of_it);
  return decision;
}
