/* join.c - `sluice-agent join`: makes the keys, asks the enrolment port, and writes the first state
 * once the registry is signed. Nothing is trusted on first use: the token pins the coordinator's
 * key and the first root. The secret never travels. */
#include "agent/shell.h"
#include "base/digest.h"
#include "base/text.h"
#include "link/convert.h"
#include "runtime/atomicfile.h"
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_AGAIN_US (2 * SL_SECOND_US)
#define RECONNECT_MAX_US (2 * SL_SECOND_US) /* beside strangers who take every turn, it needs many */

typedef struct {
    const SlJoinAsk *ask;
    SlLoop *loop;
    SlJoinToken *token;
    SlAgentConf *conf;
    SlCurveKeys curve;
    uint8_t secret[64];
    SlClient *client;
    SlTimer *again, *limit;
    char *said, *why;
    void (*say)(const char *line);
    bool connected, done, pending;
    GError *error;
} Join;

static void end(Join *join)
{
    join->done = true;
    sl_loop_quit(join->loop, 0);
}

static SlSigned *make_request(const Join *join, GError **error)
{
    char curve[65];
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(join->secret + 32);
    sl_curve_public_hex(&join->curve, curve);
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ENROL);
    sl_statement_add(writer, "fleet", join->token->fleet);
    sl_statement_add(writer, "environment", join->token->env);
    sl_statement_add(writer, "cluster", join->token->name);
    sl_statement_add(writer, "sign", key->line);
    sl_statement_add(writer, "curve", curve);
    sl_statement_add(writer, "engine", join->ask->engine);
    sl_statement_add(writer, "labels", join->ask->labels ? join->ask->labels : "-");
    sl_statement_add(writer, "token", join->token->id);
    sl_statement_add(writer, "root", join->token->root);
    sl_statement_add_time(writer, "time", sl_clock_real.utc_us(NULL));
    g_autoptr(GBytes) text = sl_statement_finish(writer, error);
    SlSigned *s = text ? sl_signed_new(text) : NULL;
    if (s)
        sl_signed_sign(s, SL_STATEMENT_ENROL, join->secret);
    return s;
}

static void send_request(void *data)
{
    Join *join = data;
    uint8_t id[16], secret[32], proof[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state mac;
    size_t len;
    g_autoptr(SlSigned) request = make_request(join, &join->error);
    if (!request || !sl_unhex(join->token->id, id, sizeof id) ||
        !sl_unhex(join->token->secret, secret, sizeof secret)) {
        end(join);
        return;
    }
    const uint8_t *text = g_bytes_get_data(request->text, &len);
    crypto_auth_hmacsha256_init(&mac, secret, sizeof secret);
    crypto_auth_hmacsha256_update(&mac, text, len);
    crypto_auth_hmacsha256_final(&mac, proof);
    sodium_memzero(secret, sizeof secret);
    Sluice__Wire__Signed statement = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Enrol enrol = SLUICE__WIRE__ENROL__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_wire_signed(request, &statement);
    enrol.request = &statement;
    enrol.token_id = (ProtobufCBinaryData){sizeof id, id};
    enrol.proof = (ProtobufCBinaryData){sizeof proof, proof};
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL;
    envelope.enrol = &enrol;
    (void)sl_client_send(join->client, &envelope); /* asked again by the timer */
    g_free(statement.sigs);
    sl_timer_arm(join->again, ASK_AGAIN_US);
}

static GPtrArray *signed_list(Sluice__Wire__Signed *const *list, size_t count, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    for (size_t i = 0; i < count; i++) {
        SlSigned *s = sl_wire_to_signed(list[i], error);
        if (!s)
            return NULL;
        g_ptr_array_add(all, s);
    }
    return g_steal_pointer(&all);
}

static bool fill_conf(Join *join, const Sluice__Wire__EnrolReply *reply, GError **error)
{
    SlAgentConf *conf = join->conf;
    if (!sl_is_name(reply->cluster) || strcmp(reply->environment, join->token->env) != 0)
        return sl_throw(error, SLU_ENROL_REFUSED,
                        "the coordinator answered for cluster `%s` in `%s`, not for the token's",
                        reply->cluster, reply->environment);
    if (reply->server_key.len != 32)
        return sl_throw(error, SLU_COORDINATOR_KEY, "the coordinator named no key for its agents");
    conf->cluster = g_strdup(reply->cluster);
    conf->env = g_strdup(reply->environment);
    conf->fleet = g_strdup(join->token->fleet);
    conf->root = g_strdup(join->token->root);
    conf->coordinator =
        g_strdup(join->ask->coordinator ? join->ask->coordinator : reply->agent_endpoint);
    conf->curve = sl_hex(reply->server_key.data, 32);
    conf->engine = g_strdup(join->ask->engine);
    conf->model_store = g_strdup(join->ask->model_store);
    conf->exec = g_strdup(join->ask->exec);
    conf->engines = json_object();
    json_object_set_new(conf->engines, conf->engine,
                        join->ask->options ? json_deep_copy(join->ask->options) : json_object());
    return true;
}

static bool accept_reply(Join *join, const Sluice__Wire__EnrolReply *reply, GError **error)
{
    g_autoptr(GPtrArray) roots = signed_list(reply->roots, reply->n_roots, error);
    g_autoptr(GPtrArray) registries =
        roots ? signed_list(reply->registries, reply->n_registries, error) : NULL;
    if (!registries || !fill_conf(join, reply, error))
        return false;
    const SlSigned *registry =
        registries->len > 0 ? g_ptr_array_index(registries, registries->len - 1) : NULL;
    g_autoptr(GBytes) slot = sl_agent_first_slot(join->conf->cluster, join->conf->env, roots,
                                                 registry, join->token->root, error);
    g_autofree char *state = sl_agent_conf_path(join->conf, "state"),
                    *path = g_build_filename(state, "a", NULL);
    return slot && sl_dir_make(state, 0700, error) &&
           sl_file_write_atomic(path, g_bytes_get_data(slot, NULL), g_bytes_get_size(slot), 0600,
                                error) &&
           sl_agent_conf_save(join->conf, error); /* last: agent.json is what says "joined" */
}

static void received(void *user, const Sluice__Wire__Envelope *envelope)
{
    Join *join = user;
    if (envelope->body_case != SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY || join->done)
        return;
    const Sluice__Wire__EnrolReply *reply = envelope->enrol_reply;
    g_autofree char *message = sl_escape_for_people(reply->message, 500);
    if (strcmp(reply->state, "accepted") == 0) {
        join->pending = false;
        (void)!accept_reply(join, reply, &join->error);
        end(join);
    } else if (strcmp(reply->state, "pending") == 0) {
        if (g_strcmp0(join->said, message) != 0) {
            g_autofree char *line = g_strdup_printf("waiting: %s", message);
            join->say(line);
        }
        g_free(join->said);
        join->said = g_steal_pointer(&message);
        join->pending = true;
        if (join->ask->wait)
            sl_timer_arm(join->again, ASK_AGAIN_US);
        else
            end(join);
    } else {
        sl_throw(&join->error, SLU_ENROL_REFUSED, "the coordinator refused: %s", message);
        end(join);
    }
}

static void connected(void *user)
{
    Join *join = user;
    join->connected = true;
    send_request(join);
}

static void disconnected(void *user, const char *why)
{
    Join *join = user;
    join->connected = false;
    g_free(join->why);
    join->why = g_strdup(why);
}

static void timed_out(void *data)
{
    Join *join = data;
    if (join->said)
        sl_throw(&join->error, SLU_TIMEOUT, "still pending: %s; ask again with the same command",
                 join->said);
    else if (join->why && strstr(join->why, "key"))
        sl_throw(&join->error, SLU_COORDINATOR_KEY, "%s: %s", join->token->coordinator, join->why);
    else
        sl_throw(&join->error, SLU_UNAVAILABLE,
                 "no answer from %s (%s); is it the coordinator that printed the token?",
                 join->token->coordinator, join->why ? join->why : "no connection");
    end(join);
}

static bool open_keys(Join *join, GError **error)
{
    g_autofree char *keys = sl_agent_conf_path(join->conf, "keys");
    g_autofree char *sign = g_build_filename(keys, "agent", NULL),
                    *curve = g_build_filename(keys, "curve", NULL);
    g_autoptr(GError) why = NULL;
    if (!sl_dir_make(keys, 0700, &why))
        return sl_throw(error, SLU_AGENT_STATE_DIR, "the folder %s can't be written: %s",
                        join->conf->dir, why->message);
    return sl_signing_key_load(sign, true, join->token->name, join->secret, error) &&
           sl_curve_keys_load(curve, true, &join->curve, error);
}

static bool open_client(Join *join, GError **error)
{
    uint8_t server_key[32];
    SlClientEvents events = {
        .user = join, .connected = connected, .disconnected = disconnected, .received = received};
    if (!sl_unhex(join->token->curve, server_key, sizeof server_key))
        return sl_throw(error, SLU_TOKEN_FORMAT, "join token: curve is malformed");
    SlClientConfig config = {.endpoint = join->token->coordinator,
                             .server_key = server_key,
                             .keys = &join->curve,
                             .role = SL_ROLE_ENROL,
                             .events = &events,
                             .loop = join->loop,
                             .reconnect_max_us = RECONNECT_MAX_US};
    join->client = sl_client_new(&config, error);
    if (!join->client)
        return false;
    join->again = sl_timer_new(join->loop, send_request, join);
    join->limit = sl_timer_new(join->loop, timed_out, join);
    if (join->ask->timeout_us)
        sl_timer_arm(join->limit, join->ask->timeout_us);
    sl_loop_run(join->loop);
    sl_client_free(join->client);
    sl_timer_free(join->again);
    sl_timer_free(join->limit);
    return join->error == NULL;
}

static bool check_new(const SlAgentConf *conf, GError **error)
{
    g_autofree char *path = sl_agent_conf_path(conf, "agent.json");
    return access(path, F_OK) != 0 ||
           sl_throw(error, SLU_CONFLICT, "%s joined already: a new identity needs an empty folder",
                    conf->dir);
}

bool sl_join(const SlJoinAsk *ask, SlLoop *loop, void (*say)(const char *line), bool *ret_pending,
             GError **error)
{
    g_autoptr(SlJoinToken) token = sl_join_token_parse(ask->token, error);
    if (!token)
        return false;
    g_autoptr(SlAgentConf) conf = g_new0(SlAgentConf, 1);
    conf->dir = g_canonicalize_filename(ask->dir, NULL);
    Join join = {.ask = ask, .loop = loop, .token = token, .conf = conf, .say = say};
    bool ok = sl_engine_find(ask->engine) ||
              sl_throw(&join.error, SLU_ENGINE_UNKNOWN, "engine `%s` is not known", ask->engine);
    ok = ok && check_new(conf, &join.error) && open_keys(&join, &join.error) &&
         open_client(&join, &join.error);
    *ret_pending = !conf->cluster; /* also when a signal ended the wait */
    if (ok && *ret_pending && !ask->wait)
        ok = sl_join_keep(ask, &join.error);
    else if (ok && !*ret_pending)
        sl_join_done(ask->dir);
    sodium_memzero(join.secret, sizeof join.secret);
    sodium_memzero(&join.curve, sizeof join.curve);
    g_free(join.said);
    g_free(join.why);
    if (!ok)
        g_propagate_error(error, join.error);
    return ok;
}
