// users: who comes in, and what may they do, from a file of JSON: `{"alice": {"token": "…", "publish": ["devices/%c/#"], "subscribe": ["news/#"]}}`.
// Tokens are passwords, long and random, so that nobody guesses them.
//
// A plugin reads no files: `secrets.users = "file:users.json"` below `[plugin.users]` in the broker's config hands it over.
// `tidegate plugin reload users` does so again.

#include "tidegate.h"

static tg_string_t text;
static tg_json_t users;

static bool is_list_of_texts(tg_json_t value) {
  tg_json_t inside = tg_json_inside(value), none, item;
  bool good = *value.at == '[';
  while (good && tg_json_next(&inside, &none, &item)) good = *item.at == '"' && !none.at;
  return good;
}

// NULL, or what is wrong about a user.
static const char *check(tg_string_t name, tg_json_t user) {
  tg_json_t inside = tg_json_inside(user), key, value;
  bool has_token = false;
  while (tg_json_next(&inside, &key, &value)) {
    tg_string_t word;
    if (!tg_json_text(key, &word)) return (const char *)tg_print("secret `users`: %.*s: expected an object", TG_ARG(name)).ptr;
    bool is_token = tg_is(word, "token"), is_list = tg_is(word, "publish") || tg_is(word, "subscribe");
    // Of several the last counts.
    if (is_token) has_token = *value.at == '"' && value.end - value.at > 2;
    const char *wrong = NULL;
    if (!is_token && !is_list) wrong = (const char *)tg_print("secret `users`: %.*s: unknown key `%.*s`", TG_ARG(name), TG_ARG(word)).ptr;
    if (is_list && !is_list_of_texts(value)) {
      wrong = (const char *)tg_print("secret `users`: %.*s: `%.*s` is a list of topic filters", TG_ARG(name), TG_ARG(word)).ptr;
    }
    tg_string_free(&word);
    if (wrong) return wrong;
  }
  return has_token ? NULL : (const char *)tg_print("secret `users`: %.*s: it needs a `token`", TG_ARG(name)).ptr;
}

const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start, (void)scopes;
  tg_string_t name;
  if (!tg_secret(tg_text("users"), &text)) return "secret `users`: grant it by `secrets.users = \"file:users.json\"`";
  users = tg_json(text.ptr, text.len);
  if (!users.at || *users.at != '{') return "secret `users`: expected an object";
  const char *wrong = tg_config_has_only("");
  tg_json_t inside = tg_json_inside(users), key, user;
  while (!wrong && tg_json_next(&inside, &key, &user)) {
    if (!tg_json_text(key, &name)) return "secret `users`: expected an object";
    wrong = check(name, user);
    tg_string_free(&name);
  }
  return wrong;
}

static tg_json_t find(tg_string_t username) {
  tg_json_t inside = tg_json_inside(users), key, user, found = {0};
  tg_string_t name;
  while (tg_json_next(&inside, &key, &user)) {
    if (!tg_json_text(key, &name)) continue;
    if (tg_is(name, username)) found = user;
    tg_string_free(&name);
  }
  return found;
}

static bool has_token(tg_json_t user, tg_list_u8_t password) {
  tg_string_t token;
  if (!tg_json_text(tg_json_member(user, "token"), &token)) return false;
  bool same = tg_same(token.ptr, token.len, password.ptr, password.len);
  tg_string_free(&token);
  return same;
}

static void allow(tg_outcome_t *grant, uint8_t action, tg_json_t filters) {
  tg_json_t inside = tg_json_inside(filters), none, item;
  tg_string_t filter;
  while (tg_json_next(&inside, &none, &item)) {
    if (!tg_json_text(item, &filter)) continue;
    tg_allow(grant, action, filter);
    tg_string_free(&filter);
  }
}

tg_outcome_t plugin_authenticate(const tg_connect_t *client) {
  // Whoever has no name is for others to decide about.
  if (!client->username.is_some) return tg_auth_next();
  tg_json_t user = find(client->username.val);
  if (!client->password.is_some || !has_token(user, client->password.val)) {
    tg_log(TG_INFO, "wrong user name or token username=%.*s peer=%.*s", TG_ARG(client->username.val), TG_ARG(client->peer));
    return tg_auth_refuse(TG_BAD_USER_NAME_OR_PASSWORD);
  }
  tg_outcome_t grant = tg_auth_grant();
  allow(&grant, TG_PUBLISH, tg_json_member(user, "publish"));
  allow(&grant, TG_SUBSCRIBE, tg_json_member(user, "subscribe"));
  return grant;
}
