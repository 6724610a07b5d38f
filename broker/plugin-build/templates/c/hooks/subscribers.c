// {{name}}: an alarm goes to the first on the list who is there, and to nobody else.

#include "tidegate.h"

// Client ids.
static tg_list_string_t order;

// `[plugin.{{name}}.config]` in the broker's config has `topics` and `order`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  tg_list_string_t topics = {0};
  const char *wrong = tg_config_has_only("topics order");
  if (!wrong) wrong = tg_config_list("topics", &topics);
  if (!wrong) wrong = tg_config_list("order", &order);
  // Other topics cost nothing.
  tg_scope_t *scope = tg_scope(scopes, "subscribers");
  if (topics.len == 0) tg_about(scope, "alarms/#");
  tg_about_all(scope, &topics);
  tg_list_string_free(&topics);
  return wrong;
}

static int64_t first(const tg_candidates_t *there) {
  for (size_t wanted = 0; wanted < order.len; wanted++) {
    for (size_t at = 0; at < there->len; at++) {
      if (tg_is(there->ptr[at].client_id, order.ptr[wanted])) return (int64_t)at;
    }
  }
  return -1;
}

tg_answer_t plugin_select(const tg_message_t *message, const tg_candidates_t *candidates) {
  (void)message;
  int64_t found = first(candidates);
  uint32_t index = (uint32_t)found;
  // If nobody on the list is there, everybody gets it: no alarm is lost.
  return found < 0 ? tg_select_all() : tg_select_only(&index, 1);
}

int64_t plugin_pick(const tg_message_t *message, tg_string_t group, const tg_candidates_t *members) {
  (void)message, (void)group;
  return first(members);
}
