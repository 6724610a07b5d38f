// {{name}}: whoever subscribes to `inbox` gets an inbox of its own, `inbox/CLIENT-ID`.

#include "tidegate.h"

const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  // Other filters cost nothing.
  tg_about(tg_scope(scopes, "subscribe"), "inbox");
  return tg_config_has_only("");
}

tg_subscribe_verdict_t plugin_on_subscribe(const tg_subscribe_request_t *request) {
  // Such as `#`, which has `inbox` in it.
  if (!tg_is(request->filter, "inbox")) return tg_subscribe_next();
  // A client id may hold anything, but reaches no further than its level.
  if (request->client_id.len == 0 || tg_has_any(request->client_id, "/+#")) return tg_subscribe_refuse(TG_NOT_AUTHORIZED);
  tg_string_t own = tg_print("inbox/%.*s", TG_ARG(request->client_id));
  tg_subscribe_verdict_t verdict = tg_subscribe_edit(own);
  tg_string_free(&own);
  return verdict;
}
