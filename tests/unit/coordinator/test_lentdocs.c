/* Fleet documents that are lent: to one job at a time, by what they were read from, and only as many
 * as jobs run at a time. */
#include "coordinator/coordinator.h"
#include "tests/unit/wait.h"

static SlFleetDocs *some_docs(void)
{
    g_autoptr(GError) error = NULL;
    static const char text[] = "{\"fleet\":{\"apiVersion\":\"gitops.sluice/v1alpha1\","
                               "\"kind\":\"Fleet\",\"metadata\":{\"name\":\"f\"}},"
                               "\"repositories\":[],\"environments\":[],\"applications\":[]}";
    g_autoptr(json_t) json = sl_json_parse(text, sizeof text - 1, NULL, "fleet", &error);
    g_assert_no_error(error);
    SlFleetDocs *docs = sl_fleet_from_json(json, &error);
    g_assert_no_error(error);
    return docs;
}

static void test_lent_to_one(void)
{
    SlLentDocs kept;
    sl_lent_docs_init(&kept);
    g_assert_null(sl_lent_docs_take(&kept, "commit a"));
    SlFleetDocs *docs = some_docs();
    sl_lent_docs_give(&kept, "commit a", docs);
    g_assert_null(sl_lent_docs_take(&kept, "commit b"));
    g_assert_true(sl_lent_docs_take(&kept, "commit a") == docs);
    g_assert_null(sl_lent_docs_take(&kept, "commit a")); /* somebody has them */
    sl_lent_docs_give(&kept, "commit a", docs);
    g_assert_true(sl_lent_docs_take(&kept, "commit a") == docs);
    sl_fleet_docs_free(docs);
    sl_lent_docs_clear(&kept);
}

/* Two jobs that read the same at the same time both give theirs back. */
static void test_same_twice(void)
{
    SlLentDocs kept;
    sl_lent_docs_init(&kept);
    SlFleetDocs *first = some_docs(), *second = some_docs();
    sl_lent_docs_give(&kept, "commit a", first);
    sl_lent_docs_give(&kept, "commit a", second);
    g_autoptr(SlFleetDocs) one = sl_lent_docs_take(&kept, "commit a");
    g_autoptr(SlFleetDocs) other = sl_lent_docs_take(&kept, "commit a");
    g_assert_true((one == first && other == second) || (one == second && other == first));
    g_assert_null(sl_lent_docs_take(&kept, "commit a"));
    sl_lent_docs_clear(&kept);
}

/* The oldest goes; what is left is freed at the end (the sanitizers look). */
static void test_oldest_goes(void)
{
    SlLentDocs kept;
    char key[16];
    sl_lent_docs_init(&kept);
    for (unsigned i = 0; i <= SL_WORKERS; i++) {
        g_snprintf(key, sizeof key, "commit %u", i);
        sl_lent_docs_give(&kept, key, some_docs());
    }
    g_assert_null(sl_lent_docs_take(&kept, "commit 0"));
    g_autoptr(SlFleetDocs) next = sl_lent_docs_take(&kept, "commit 1");
    g_assert_nonnull(next);
    g_assert_cmpuint(kept.free_ones.length, ==, SL_WORKERS - 1);
    sl_lent_docs_clear(&kept);
}

enum { TURNS = 2000 };

static void borrow(void *user)
{
    SlLentDocs *kept = user;
    for (int i = 0; i < TURNS; i++) {
        SlFleetDocs *docs = sl_lent_docs_take(kept, "commit a");
        sl_lent_docs_give(kept, "commit a", docs != NULL ? docs : some_docs());
    }
}

static void ended(void *user, bool cancelled)
{
    (void)user;
    g_assert_false(cancelled);
}

/* All the workers that there are, at the same documents. */
static void test_workers(void)
{
    SlLentDocs kept;
    SlLoop *loop = sl_loop_new();
    SlWorkq *queue = sl_workq_new(loop, SL_WORKERS, SL_WORKERS);
    sl_lent_docs_init(&kept);
    for (unsigned i = 0; i < SL_WORKERS; i++)
        g_assert_true(sl_workq_push(queue, borrow, ended, &kept, NULL));
    wait_for(loop, sl_workq_pending(queue) == 0);
    sl_workq_free(queue);
    sl_loop_free(loop);
    g_assert_cmpuint(kept.free_ones.length, >=, 1);
    g_assert_cmpuint(kept.free_ones.length, <=, SL_WORKERS);
    sl_lent_docs_clear(&kept);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lentdocs/lent-to-one", test_lent_to_one);
    g_test_add_func("/lentdocs/same-twice", test_same_twice);
    g_test_add_func("/lentdocs/oldest-goes", test_oldest_goes);
    g_test_add_func("/lentdocs/workers", test_workers);
    return g_test_run();
}
