/* lentdocs.c - fleet documents that were read, kept for the next render of the same commit: of 1,000
 * applications in one repository each render would else read all 1,000 documents again. Documents
 * are lent to one job at a time and never shared between threads. */
#include "coordinator/coordinator.h"
#include <string.h>

typedef struct {
    char *key;
    SlFleetDocs *docs;
} Lent;

static void lent_free(Lent *lent)
{
    g_free(lent->key);
    sl_fleet_docs_free(lent->docs);
    g_free(lent);
}

void sl_lent_docs_init(SlLentDocs *kept)
{
    pthread_mutex_init(&kept->mutex, NULL);
    g_queue_init(&kept->free_ones);
}

void sl_lent_docs_clear(SlLentDocs *kept)
{
    g_queue_clear_full(&kept->free_ones, (GDestroyNotify)lent_free);
    pthread_mutex_destroy(&kept->mutex);
}

SlFleetDocs *sl_lent_docs_take(SlLentDocs *kept, const char *key)
{
    SlFleetDocs *docs = NULL;
    pthread_mutex_lock(&kept->mutex);
    for (GList *at = kept->free_ones.head; at != NULL && docs == NULL; at = at->next) {
        Lent *lent = at->data;
        if (strcmp(lent->key, key) == 0) {
            docs = g_steal_pointer(&lent->docs);
            g_queue_delete_link(&kept->free_ones, at);
            g_free(lent->key);
            g_free(lent);
            break;
        }
    }
    pthread_mutex_unlock(&kept->mutex);
    return docs;
}

void sl_lent_docs_give(SlLentDocs *kept, const char *key, SlFleetDocs *docs)
{
    Lent *lent = g_new0(Lent, 1), *oldest = NULL;
    lent->key = g_strdup(key);
    lent->docs = docs;
    pthread_mutex_lock(&kept->mutex);
    g_queue_push_tail(&kept->free_ones, lent);
    if (kept->free_ones.length > SL_WORKERS)
        oldest = g_queue_pop_head(&kept->free_ones);
    pthread_mutex_unlock(&kept->mutex);
    if (oldest != NULL)
        lent_free(oldest);
}
