/* init.c - sluice init: a fleet repository, the coordinator's state folder, keys and the first root. Whatever exists already is
 * kept and named; nothing is ever overwritten. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/programs.h"
#include "cli/rootedit.h"
#include "cli/templates.h"
#include "core/root.h"
#include "link/keys.h"
#include "runtime/atomicfile.h"
#include "runtime/spawn.h"
#include <git2.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *dir, *name, *person, *email, *state, *key;
    const char *const *envs;
    SlProfile profile;
    bool made_key;
    int64_t port; /* agents connect here; enrolment is the next one */
} Init;

static void init_clear(Init *in)
{
    g_free(in->dir);
    g_free(in->name);
    g_free(in->person);
    g_free(in->email);
    g_free(in->state);
    g_free(in->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Init, init_clear)

/* user.name and user.email as git knows them; NULL where it does not. */
static char *git_setting(const char *name)
{
    git_config *config = NULL, *snapshot = NULL;
    const char *value = NULL;
    char *copy = NULL;
    if (git_config_open_default(&config) == 0 && git_config_snapshot(&snapshot, config) == 0 &&
        git_config_get_string(&value, snapshot, name) == 0) {
        copy = g_strdup(value);
    }
    git_config_free(snapshot);
    git_config_free(config);
    return copy;
}

static char *state_home(const char *fleet)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    return base != NULL && *base == '/' ? g_build_filename(base, "sluice", fleet, NULL)
                                        : g_build_filename(home != NULL ? home : "/", ".local",
                                                           "state", "sluice", fleet, NULL);
}

static int take_options(SlCli *cli, Init *in)
{
    static const char *const three[] = {"dev", "test", "prod", NULL};
    in->dir = g_canonicalize_filename(sl_cli_arg(cli, 0), NULL);
    g_autofree char *base = g_path_get_basename(in->dir);
    in->name = g_strdup(sl_cli_option(cli, "name") != NULL ? sl_cli_option(cli, "name") : base);
    const char *user = sl_is_name(getenv("USER")) ? getenv("USER") : g_get_user_name();
    in->person = g_strdup(sl_cli_option(cli, "person") != NULL ? sl_cli_option(cli, "person")
                          : sl_is_name(user)                   ? user
                                                               : "me");
    in->email = sl_cli_option(cli, "email") != NULL ? g_strdup(sl_cli_option(cli, "email"))
                                                    : git_setting("user.email");
    in->email = in->email != NULL ? in->email : g_strdup_printf("%s@localhost", in->person);
    in->state = sl_cli_option(cli, "state") != NULL
                    ? g_canonicalize_filename(sl_cli_option(cli, "state"), NULL)
                    : state_home(in->name);
    in->envs = three;
    const char *profile =
        sl_cli_option(cli, "profile") != NULL ? sl_cli_option(cli, "profile") : "solo";
    const char *port = sl_cli_option(cli, "port");
    in->port = 7400;
    if (port != NULL && (!sl_parse_int64(port, &in->port) || in->port < 1 || in->port > 65000)) {
        return sl_cli_usage(cli, "--port is 1..65000");
    }
    if (!sl_is_name(in->name) || !sl_is_name(in->person)) {
        return sl_cli_usage(cli,
                            "--name and --person are DNS labels (lower-case letters, digits, '-')");
    }
    if (!sl_profile_parse(profile, &in->profile)) {
        return sl_cli_usage(cli, "--profile is solo, team or regulated");
    }
    return SL_EXIT_OK;
}

/* The repository with a first commit that holds sluice.yaml; an existing repository or file stays as it is. */
static bool make_repository(const Init *in, GError **error)
{
    g_autofree char *file = g_build_filename(in->dir, "sluice.yaml", NULL);
    git_repository *repo = NULL;
    git_repository_init_options how = {.version = GIT_REPOSITORY_INIT_OPTIONS_VERSION};
    how.flags = GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_MKPATH;
    how.initial_head = "main";
    if (git_repository_open(&repo, in->dir) != 0 &&
        git_repository_init_ext(&repo, in->dir, &how) != 0) {
        return sl_throw(error, SLU_IO, "%s: %s", in->dir, git_error_last()->message);
    }
    git_repository_free(repo);
    if (g_file_test(file, G_FILE_TEST_EXISTS)) {
        return true;
    }
    g_autofree char *text = sl_template_fleet(in->name, in->envs);
    return sl_file_write_atomic(file, text, strlen(text), 0644, error);
}

static bool commit_all(const Init *in, GError **error)
{
    git_repository *repo = NULL;
    git_index *index = NULL;
    git_tree *tree = NULL;
    git_signature *who = NULL;
    git_oid tree_id, commit_id, head_id;
    bool ok = git_repository_open(&repo, in->dir) == 0;
    if (ok && git_reference_name_to_id(&head_id, repo, "HEAD") == 0) {
        git_repository_free(repo);
        return true; /* it has commits: what to commit is its owner's business */
    }
    ok = ok && git_repository_index(&index, repo) == 0 &&
         git_index_add_bypath(index, "sluice.yaml") == 0 && git_index_write(index) == 0 &&
         git_index_write_tree(&tree_id, index) == 0 &&
         git_tree_lookup(&tree, repo, &tree_id) == 0 &&
         git_signature_now(&who, in->person, in->email) == 0 &&
         git_commit_create_v(&commit_id, repo, "HEAD", who, who, NULL, "A new fleet", tree, 0) == 0;
    if (!ok) {
        (void)sl_throw(error, SLU_IO, "%s: first commit: %s", in->dir,
                       git_error_last() != NULL ? git_error_last()->message : "unknown");
    }
    git_signature_free(who);
    git_tree_free(tree);
    git_index_free(index);
    git_repository_free(repo);
    return ok;
}

static bool write_config(const Init *in, GError **error)
{
    g_autoptr(json_t) config = json_object();
    g_autofree char *socket = g_build_filename(in->state, "api.sock", NULL);
    g_autofree char *models = g_build_filename(in->state, "models", NULL);
    sl_json_set_str(config, "repository", in->dir);
    sl_json_set_str(config, "branch", "main");
    sl_json_set_str(config, "person", in->person);
    sl_json_set_str(config, "modelStore", models);
    json_object_set_new(config, "api", json_pack("{s:s, s:n}", "socket", socket, "listen"));
    g_autofree char *agents = g_strdup_printf("tcp://127.0.0.1:%" G_GINT64_FORMAT, in->port);
    g_autofree char *enrol = g_strdup_printf("tcp://127.0.0.1:%" G_GINT64_FORMAT, in->port + 1);
    json_object_set_new(config, "agents", json_pack("{s:s}", "listen", agents));
    json_object_set_new(config, "enrol", json_pack("{s:s}", "listen", enrol));
    sl_json_set_str(config, "poll", "30s");
    g_autofree char *path = g_build_filename(in->state, "coordinator.json", NULL);
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        return true;
    }
    char *text = json_dumps(config, JSON_INDENT(2) | JSON_SORT_KEYS);
    bool ok = sl_file_write_atomic(path, text, strlen(text), 0600, error);
    free(text);
    return ok;
}

/* Has the coordinator's program write the ledger's first event. */
static bool make_ledger(const Init *in, const char *root, GError **error)
{
    g_autofree char *program = sl_program_path("sluice-coordinator", error);
    g_autofree char *file = g_build_filename(in->state, "root-1.json", NULL);
    if (program == NULL || !sl_file_write_atomic(file, root, strlen(root), 0600, error)) {
        return false;
    }
    const char *argv[] = {program,  "init",   "--dir", in->state, "--fleet-name",
                          in->name, "--root", file,    NULL};
    SlSpawn how = {.argv = argv, .output_max = 4096, .error_max = 4096, .timeout_us = SL_MINUTE_US};
    SlChildEnd end = {0};
    if (!sl_spawn_wait(&how, &end, error)) {
        return false;
    }
    bool ok = end.code == 0;
    if (!ok) {
        g_autofree char *said =
            g_strndup(g_bytes_get_data(end.error, NULL), g_bytes_get_size(end.error));
        g_autofree char *safe = sl_escape_for_people(g_strstrip(said), 2000);
        (void)sl_throw(error, SLU_INTERNAL, "sluice-coordinator init failed: %s", safe);
    }
    sl_child_end_clear(&end);
    return ok;
}

/* The person's key: --key, or ~/.config/sluice/id_ed25519 (made if it is not there). */
static bool take_key(SlCli *cli, Init *in, GError **error)
{
    if (sl_cli_option(cli, "key") != NULL) {
        in->key = g_canonicalize_filename(sl_cli_option(cli, "key"), NULL);
        return true;
    }
    g_autofree char *dir = sl_config_dir();
    in->key = g_build_filename(dir, "id_ed25519", NULL);
    in->made_key = !g_file_test(in->key, G_FILE_TEST_EXISTS);
    uint8_t secret[64];
    bool ok = sl_dir_make(dir, 0700, error) &&
              sl_signing_key_load(in->key, true, in->email, secret, error);
    sodium_memzero(secret, sizeof secret);
    return ok;
}

static char *first_root(SlCli *cli, const Init *in, const SlPublicKey *person_key,
                        const SlPublicKey *online_key, GError **error)
{
    SlRootNew how = {.profile = in->profile,
                     .person = in->person,
                     .email = in->email,
                     .person_key = person_key,
                     .online_key = online_key,
                     .envs = in->envs};
    return sl_root_create(cli, &how, error);
}

static bool make_state(SlCli *cli, const Init *in, GError **error)
{
    g_autofree char *ledger = g_build_filename(in->state, "state.git", NULL);
    if (g_file_test(ledger, G_FILE_TEST_EXISTS)) {
        return sl_throw(error, SLU_EXISTS, "%s: a fleet's state is there already", in->state);
    }
    g_autofree char *keys = g_build_filename(in->state, "keys", NULL);
    g_autofree char *online = g_build_filename(keys, "online", NULL);
    uint8_t secret[64];
    if (!sl_dir_make(in->state, 0700, error) || !sl_dir_make(keys, 0700, error) ||
        !sl_signing_key_load(online, true, "sluice online key", secret, error)) {
        return false;
    }
    g_autoptr(SlPublicKey) online_key = sl_public_key_from_ed25519(secret + 32);
    sodium_memzero(secret, sizeof secret);
    g_autofree char *line = sl_cli_public_key(cli, error);
    g_autoptr(SlPublicKey) person_key = line != NULL ? sl_public_key_parse(line, error) : NULL;
    g_autofree char *root =
        person_key != NULL ? first_root(cli, in, person_key, online_key, error) : NULL;
    return root != NULL && write_config(in, error) && make_ledger(in, root, error);
}

static void print_next(SlCli *cli, const Init *in)
{
    sl_say(cli, "Fleet %s is ready: you are `%s` <%s>, and %s is your key%s.", in->name, in->person,
           in->email, in->key, in->made_key ? " (new, without a passphrase)" : "");
    sl_say(cli, "It is the current fleet of your commands now; others by --fleet NAME or "
                "$SLUICE_FLEET.\n");
    sl_say(cli, "  repository  %s", in->dir);
    sl_say(cli, "  state       %s\n", in->state);
    sl_say(cli, "Next:\n  sluice-coordinator run --dir %s &", in->state);
    for (size_t i = 0; in->envs[i] != NULL; i++) {
        sl_say(cli, "  sluice cluster add %s1 --env %-6s  # then run the two commands it prints",
               in->envs[i], in->envs[i]);
    }
    sl_say(cli,
           "  cd %s && sluice new NAME --train 'python3 train.py' --serve 'python3 serve.py' "
           "--output model",
           in->dir);
    sl_say(cli, "  git add -A && git commit -m 'first application' && sluice status --watch");
    if (in->profile != SL_PROFILE_SOLO) {
        sl_say(cli,
               "\nWho asks does not count as a signature in test and prod: add a second person.\n"
               "  sluice root add-person NAME EMAIL KEY.pub --like %s",
               in->person);
    }
}

static int run(SlCli *cli)
{
    git_libgit2_init();
    g_auto(Init) in = {0};
    int code = take_options(cli, &in);
    if (code != SL_EXIT_OK) {
        return code;
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *socket = g_build_filename(in.state, "api.sock", NULL);
    if (!take_key(cli, &in, &error)) {
        return sl_cli_fail(cli, error);
    }
    SlContext context = {.name = in.name,
                         .socket = socket,
                         .person = in.person,
                         .key = in.key,
                         .repository = in.dir,
                         .state = in.state};
    if (!sl_context_save(&context, &error) || !make_repository(&in, &error) ||
        !make_state(cli, &in, &error) || !commit_all(&in, &error)) {
        return sl_cli_fail(cli, error);
    }
    print_next(cli, &in);
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {
    {"name", 0, "NAME", "of the fleet (default: the folder's)", NULL},
    {"profile", 0, "PROFILE", "solo (default), team or regulated: who must sign what", NULL},
    {"person", 0, "NAME", "your name in the fleet (default: $USER)", NULL},
    {"email", 0, "EMAIL", "your e-mail, as in your commits (default: git's)", NULL},
    {"key", 0, "FILE",
     "your ed25519 private key, or a .pub whose key ssh-agent holds (default: made under "
     "~/.config/sluice)",
     "file"},
    {"port", 0, "PORT",
     "agents connect here, on 127.0.0.1 until you change coordinator.json; the next port is for "
     "enrolment (default 7400)",
     NULL},
    {"state", 0, "DIR", "the coordinator's folder (default: ~/.local/state/sluice/NAME)", "file"},
    {0},
};

const SlCommand sl_cmd_init = {
    .name = "init",
    .group = "Start",
    .synopsis = "DIR [--name NAME] [--profile PROFILE]",
    .summary = "a new fleet on this machine",
    .description =
        "Makes DIR a Git repository with a commented sluice.yaml, the coordinator's state folder "
        "with the ledger and the online key, and the root of trust, version 1, signed by your key.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "file",
    .run = run,
};
