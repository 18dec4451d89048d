/* test_sign.c - a person's signature, by key file and by a real ssh-agent; OpenSSH's own ssh-keygen verifies it. */
#include "core/sshsig.h"
#include "rig.h"
#include <signal.h>
#include <sys/wait.h>

#define TEXT "format: 1\nkind: promotion\n"
#define NAMESPACE "promotion@sluice.v1"

static bool have(const char *program)
{
    g_autofree char *path = g_find_program_in_path(program);
    return path != NULL;
}

/* Runs a program in the test's folder; its exit status. */
static int tool(const Rig *r, const char *const *argv, const char *input, char **ret_out)
{
    int in = -1, status = -1;
    GPid pid = 0;
    g_autofree char *out = rig_path(r, ".tool");
    int file = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_true(g_spawn_async_with_pipes_and_fds(r->dir, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1, file, file, NULL,
                                                   NULL, 0, &pid, &in, NULL, NULL, NULL));
    close(file);
    g_assert_true(write(in, input, strlen(input)) == (ssize_t)strlen(input));
    close(in);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (ret_out != NULL) {
        *ret_out = rig_read(r, ".tool");
    }
    return status;
}

static void make_key(const Rig *r, const char *name)
{
    g_assert_cmpint(tool(r, (const char *const[]){"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", name, NULL}, "", NULL), ==, 0);
}

/* A command with a context that signs with @key. */
static SlCli *signer(Rig *r, const char *key)
{
    g_autofree char *path = rig_path(r, key);
    SlContext context = {.name = (char[]){"f"}, .socket = (char[]){"/none"}, .person = (char[]){"alice"}, .key = path};
    g_assert_true(sl_context_save(&context, NULL));
    int code = -1;
    SlCli *cli = rig_parse(r, (const char *const[]){"version", NULL}, &code);
    g_assert_nonnull(cli);
    return cli;
}

static char *sign(Rig *r, const char *key, GError **error)
{
    SlCli *cli = signer(r, key);
    g_autoptr(GBytes) text = g_bytes_new_static(TEXT, strlen(TEXT));
    char *armour = sl_cli_sign(cli, text, NAMESPACE, error);
    sl_cli_free(cli);
    return armour;
}

/* OpenSSH accepts the signature over the text, and over nothing else. */
static void check_by_openssh(const Rig *r, const char *key, const char *armour)
{
    g_autofree char *file = g_strconcat(key, ".pub", NULL), *line = rig_read(r, file), *allowed = g_strconcat("alice ", line, NULL);
    rig_put(r, "allowed", allowed);
    rig_put(r, "text.sig", armour);
    const char *argv[] = {"ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "alice", "-n", NAMESPACE, "-s", "text.sig", NULL};
    g_autofree char *said = NULL;
    g_assert_cmpint(tool(r, argv, TEXT, &said), ==, 0);
    assert_has(said, "Good \"" NAMESPACE "\" signature");
    g_assert_cmpint(tool(r, argv, TEXT "more: 1\n", NULL), !=, 0);
    argv[8] = "order@sluice.v1";
    g_assert_cmpint(tool(r, argv, TEXT, NULL), !=, 0);
}

static void test_key_file(void)
{
    if (!have("ssh-keygen")) {
        g_test_skip("no ssh-keygen");
        return;
    }
    g_autoptr(Rig) r = rig_new();
    make_key(r, "id");
    g_autoptr(GError) error = NULL;
    g_autofree char *armour = sign(r, "id", &error);
    g_assert_no_error(error);
    check_by_openssh(r, "id", armour);
    assert_code(r, RUN(r, "key", "create", "own"), 0);
    g_autofree char *own = sign(r, "own", &error);
    g_assert_no_error(error);
    check_by_openssh(r, "own", own);
    assert_code(r, RUN(r, "key", "create", "own"), 5); /* never over an old one */
}

static void test_refusals(void)
{
    g_autoptr(Rig) r = rig_new();
    assert_code(r, RUN(r, "key", "create", "id"), 0);
    g_autofree char *path = rig_path(r, "id");
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(sign(r, "id", &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_RIGHTS);
    g_clear_error(&error);
    g_assert_null(sign(r, "none", &error));
    g_assert_cmpint(sl_error_class(error), ==, SL_CLASS_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(sign(r, "id.pub", &error)); /* the key is in ssh-agent, and there is none */
    g_assert_error(error, SL_ERROR, SLU_NO_KEY);
    assert_has(error->message, "SSH_AUTH_SOCK");
    g_clear_error(&error);
    rig_put(r, "rsa.pub", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 x\n");
    g_assert_null(sign(r, "rsa.pub", &error));
    g_assert_nonnull(error);
}

typedef struct {
    GPid pid;
    int in, out; /* its ends */
} Agent;

/* ssh-agent -D until the test ends it: its own process, by id. It says its socket once it listens there. */
static Agent agent_start(const Rig *r)
{
    Agent agent = {0};
    g_autofree char *socket = rig_path(r, "agent.sock");
    const char *argv[] = {"ssh-agent", "-D", "-a", socket, NULL};
    g_assert_true(g_spawn_async_with_pipes_and_fds(r->dir, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1, -1, -1,
                                                   NULL, NULL, 0, &agent.pid, &agent.in, &agent.out, NULL, NULL));
    char said[256];
    g_assert_cmpint(read(agent.out, said, sizeof said), >, 0);
    g_setenv("SSH_AUTH_SOCK", socket, TRUE);
    return agent;
}

static void test_agent(void)
{
    if (!have("ssh-agent") || !have("ssh-add")) {
        g_test_skip("no ssh-agent");
        return;
    }
    g_autoptr(Rig) r = rig_new();
    make_key(r, "id");
    make_key(r, "other");
    Agent agent = agent_start(r);
    g_assert_cmpint(tool(r, (const char *const[]){"ssh-add", "-q", "id", NULL}, "", NULL), ==, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *armour = sign(r, "id.pub", &error);
    g_assert_no_error(error);
    check_by_openssh(r, "id", armour);
    SlCli *cli = signer(r, "id.pub");
    g_autofree char *line = sl_cli_public_key(cli, NULL), *file = rig_read(r, "id.pub");
    g_assert_true(g_str_has_prefix(file, line));
    sl_cli_free(cli);
    g_assert_null(sign(r, "other.pub", &error)); /* not loaded */
    g_assert_error(error, SL_ERROR, SLU_SIGN);
    assert_has(error->message, "refused");
    kill(agent.pid, SIGTERM);
    g_assert_cmpint(waitpid(agent.pid, NULL, 0), ==, agent.pid);
    close(agent.in);
    close(agent.out);
}

static void test_confirm(void)
{
    g_autoptr(Rig) r = rig_new();
    int code = -1, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    close(null);
    SlCli *yes = rig_parse(r, (const char *const[]){"approve", "1", "--yes", NULL}, &code);
    SlCli *ask = rig_parse(r, (const char *const[]){"approve", "1", NULL}, &code);
    g_assert_true(sl_cli_confirm(yes, "sign?"));
    g_assert_false(sl_cli_confirm(ask, "sign?")); /* nobody there to ask: no */
    sl_cli_free(yes);
    sl_cli_free(ask);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sign/key-file", test_key_file);
    g_test_add_func("/sign/refusals", test_refusals);
    g_test_add_func("/sign/agent", test_agent);
    g_test_add_func("/sign/confirm", test_confirm);
    return g_test_run();
}
