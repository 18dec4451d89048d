/* source.c - the fleet repository as the coordinator's shell sees it: a list of trees. */
#include "sim.h"

void commit_free(Commit *c)
{
    g_free(c->id);
    g_free(c->subject);
    g_free(c->author);
    sl_tree_memory_free(c->tree);
    sl_fleet_docs_free(c->docs);
    g_clear_pointer(&c->problems, g_ptr_array_unref);
    g_clear_pointer(&c->offers, g_ptr_array_unref);
    g_free(c);
}

Commit *source_push(World *w, const char *subject, SlTree *tree)
{
    Commit *c = g_new0(Commit, 1);
    g_autofree char *seed = g_strdup_printf("commit %u %s", w->commits->len + 1, subject);
    c->tree = tree;
    c->id = sl_sha256_hex(seed, strlen(seed));
    c->id[40] = '\0';
    c->position = w->commits->len + 1;
    c->subject = g_strdup(subject);
    c->author = g_strdup("Erin <erin@x.test>");
    c->time_us = w->now;
    g_ptr_array_add(w->commits, c);
    say(w, "push %.8s: %s", c->id, subject);
    return c;
}

const Commit *source_newest(const World *w)
{
    return w->commits->len > 0 ? g_ptr_array_index(w->commits, w->commits->len - 1) : NULL;
}

const Commit *source_commit(const World *w, const char *id)
{
    for (guint i = 0; i < w->commits->len; i++) {
        const Commit *c = g_ptr_array_index(w->commits, i);
        if (strcmp(c->id, id) == 0) {
            return c;
        }
    }
    return NULL;
}

GPtrArray *source_problems_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
}

void source_problems(World *w, const GPtrArray *problems)
{
    for (guint i = 0; i < problems->len; i++) {
        g_autofree char *text = sl_problem_format(problems->pdata[i]);
        say(w, "problem: %s", text);
    }
}

void source_read(const Commit *commit)
{
    Commit *c = (Commit *)(uintptr_t)commit;
    if (c->problems != NULL) {
        return;
    }
    c->problems = source_problems_new();
    c->docs = sl_fleet_read(c->tree, c->problems);
    c->offers = g_ptr_array_new_with_free_func((GDestroyNotify)sl_offer_free);
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        g_ptr_array_add(c->offers,
                        sl_offer_make(c->docs, c->docs->applications->pdata[i], c->tree));
    }
}

void coord_poll(World *w)
{
    if (w->coord == NULL || source_newest(w) == NULL) {
        return;
    }
    const Commit *c = source_newest(w);
    if (g_strcmp0(sl_coord_followed(w->coord, ""), c->id) == 0) {
        return;
    }
    if (strikes(w, FAULT_SOURCE)) {
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_UNAVAILABLE, "the host of the repository does not answer");
        coord_step(w,
                   &(SlCoordInput){.type = SL_COORD_SOURCE,
                                   .source = {.repository = "", .branch = "main", .error = error}});
        return;
    }
    source_read(c);
    bool rewound = c->rewound || strikes(w, FAULT_REWIND);
    for (guint i = 0; i < c->offers->len; i++) {
        source_problems(w, ((const SlOffer *)g_ptr_array_index(c->offers, i))->problems);
    }
    source_problems(w, c->problems);
    g_autoptr(json_t) authors = json_pack("[s]", "erin@x.test");
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "",
                                  .branch = "main",
                                  .commit = c->id,
                                  .position = c->position,
                                  .time_us = c->time_us,
                                  .author = c->author,
                                  .subject = c->subject,
                                  .rewound = rewound,
                                  .authors = authors,
                                  .docs = c->docs,
                                  .offers = c->offers,
                                  .problems = c->problems}};
    coord_step(w, &in);
}
