// regions: what is about a region, `weather/REGION/…`, goes to those who are there: whose client ids begin with `REGION-` or `all-`.

#include "tidegate.h"

// For how long the broker may remember an answer; it asks again when subscriptions have changed.
enum { MINUTE = 60000 };

static tg_string_t everywhere;

// `[plugin.regions.config]` in the broker's config has `topics` and `everywhere`, a region.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  everywhere = tg_copy("all");
  tg_list_string_t topics = {0};
  const char *wrong = tg_config_has_only("topics everywhere");
  if (!wrong) wrong = tg_config_text("everywhere", &everywhere);
  if (!wrong) wrong = tg_config_list("topics", &topics);
  tg_scope_t *scope = tg_scope(scopes, "subscribers");
  if (topics.len == 0) tg_about(scope, "weather/#");
  tg_about_all(scope, &topics);
  tg_list_string_free(&topics);
  return wrong;
}

// The second level of the topic. False: there is none.
static bool region_of(tg_string_t topic, tg_string_t *region) {
  uint8_t *end = topic.ptr + topic.len, *slash = memchr(topic.ptr, '/', topic.len);
  if (!slash) return false;
  uint8_t *next = memchr(slash + 1, '/', (size_t)(end - slash - 1));
  *region = (tg_string_t){slash + 1, (size_t)((next ? next : end) - slash - 1)};
  return true;
}

static bool is_in(tg_string_t region, tg_string_t client_id) {
  return client_id.len > region.len && client_id.ptr[region.len] == '-' && tg_starts_with(client_id, region);
}

tg_answer_t plugin_select(const tg_message_t *message, const tg_candidates_t *candidates) {
  tg_answer_t answer = tg_select_all();
  tg_string_t region;
  if (region_of(message->topic, &region)) {
    uint32_t *there = tg_alloc(candidates->len * sizeof *there);
    size_t len = 0;
    for (size_t at = 0; at < candidates->len; at++) {
      tg_string_t client_id = candidates->ptr[at].client_id;
      if (is_in(region, client_id) || is_in(everywhere, client_id)) there[len++] = (uint32_t)at;
    }
    answer = tg_select_only(there, len);
    free(there);
  }
  answer.cache_ms = MINUTE;
  return answer;
}

int64_t plugin_pick(const tg_message_t *message, tg_string_t group, const tg_candidates_t *members) {
  (void)group;
  tg_string_t region;
  if (!region_of(message->topic, &region)) return -1;
  for (size_t at = 0; at < members->len; at++) {
    tg_string_t client_id = members->ptr[at].client_id;
    if (is_in(region, client_id) || is_in(everywhere, client_id)) return (int64_t)at;
  }
  return -1;
}
