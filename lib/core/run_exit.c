/* run_exit.c - why an attempt ended, and whether another one is worth it. A broken card or node
 * must not spend the retries that people allowed for their own mistakes, and a mistake in the code
 * must not run three more times. */
#include "base/text.h"
#include "core/run.h"
#include <ctype.h>
#include <string.h>

/* Only the end of the log: what stands there is about the end. */
#define LOG_TAIL_MAX ((size_t)64 * 1024)

#define SIGNAL_ABORT 6
#define SIGNAL_KILL 9
#define SIGNAL_INT 2
#define SIGNAL_TERM 15

typedef struct {
    const char *reason;
    SlFailure failure;
    const char *text;
} Reason;

static const Reason reasons[] = {
    {"Completed", SL_FAILURE_USER, "the program ended by itself with exit code 0"},
    {"NonZeroExit", SL_FAILURE_USER, "the program ended with an error; its log says why"},
    {"OOMKilled", SL_FAILURE_USER, "the program needed more memory than it was given"},
    {"Timeout", SL_FAILURE_TIMEOUT, "the run went on longer than its time limit"},
    {"Stopped", SL_FAILURE_STOPPED, "the run was stopped on request"},
    {"Terminated", SL_FAILURE_INFRA, "the program was asked to stop from outside (shutdown?)"},
    {"Interrupted", SL_FAILURE_STOPPED, "somebody interrupted the program by hand"},
    {"Killed", SL_FAILURE_INFRA, "the program was killed from outside, not by Sluice"},
    {"Crashed", SL_FAILURE_USER, "the program crashed (invalid memory or instruction)"},
    {"Aborted", SL_FAILURE_USER, "the program aborted itself; its log says why"},
    {"CommandNotFound", SL_FAILURE_CONFIG, "the command does not exist where the run started"},
    {"CommandNotExecutable", SL_FAILURE_CONFIG, "the command may not be executed"},
    {"NcclTimeout", SL_FAILURE_INFRA,
     "a collective operation waited for a peer until its time-out"},
    {"NcclError", SL_FAILURE_INFRA, "the communication between GPUs failed"},
    {"GpuOutOfMemory", SL_FAILURE_USER, "the GPU has too little memory for what the program wants"},
    {"GpuMemoryError", SL_FAILURE_GPU, "the GPU reported an uncorrectable memory error"},
    {"GpuLost", SL_FAILURE_GPU, "the GPU fell off the bus or needs a reset"},
    {"GpuUnavailable", SL_FAILURE_GPU, "the GPU could not be used"},
    {"IllegalMemoryAccess", SL_FAILURE_USER, "a GPU kernel accessed memory that is not its own"},
    {"DiskFull", SL_FAILURE_INFRA, "the disk is full"},
    {"NonFiniteLoss", SL_FAILURE_USER, "the loss became NaN or infinite"},
    {"OutputMissing", SL_FAILURE_USER, "the program ended well but wrote no declared output"},
    {"Lost", SL_FAILURE_INFRA, "the program is gone and left no exit record"},
};

/* First hit wins: what breaks hardware comes before what it makes programs say. */
static const struct {
    const char *pattern; /* lower case */
    const char *reason;
} patterns[] = {
    {"uncorrectable ecc", "GpuMemoryError"},
    {"fallen off the bus", "GpuLost"},
    {"gpu is lost", "GpuLost"},
    {"cuda-capable device(s) is/are busy or unavailable", "GpuUnavailable"},
    {"cuda error: no cuda-capable device is detected", "GpuUnavailable"},
    {"watchdog caught collective operation timeout", "NcclTimeout"},
    {"illegal memory access", "IllegalMemoryAccess"},
    {"cuda out of memory", "GpuOutOfMemory"},
    {"cuda error: out of memory", "GpuOutOfMemory"},
    {"cuda_error_out_of_memory", "GpuOutOfMemory"},
    {"hip out of memory", "GpuOutOfMemory"},
    {"no space left on device", "DiskFull"},
    {"loss nan", "NonFiniteLoss"},
    {"loss=nan", "NonFiniteLoss"},
    {"loss is nan", "NonFiniteLoss"},
    {"loss: nan", "NonFiniteLoss"},
};

/* XIDs after which the card needs a reset, a reboot or a person; all others are the program's own.
 */
static const int hardware_xids[] = {46,  48,  62,  64,  74,  79,  95,  109, 110, 119, 120, 136,
                                    140, 143, 144, 145, 146, 147, 148, 149, 150, 155, 156, 158};

const char *sl_failure_name(SlFailure failure)
{
    static const char *const names[SL_N_FAILURES] = {
        [SL_FAILURE_USER] = "User",     [SL_FAILURE_INFRA] = "Infra",
        [SL_FAILURE_GPU] = "Gpu",       [SL_FAILURE_TIMEOUT] = "Timeout",
        [SL_FAILURE_CONFIG] = "Config", [SL_FAILURE_STOPPED] = "Stopped",
    };
    return (unsigned)failure < SL_N_FAILURES ? names[failure] : "Unknown";
}

static const Reason *find_reason(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (strcmp(reasons[i].reason, word) == 0) {
            return &reasons[i];
        }
    }
    return NULL;
}

const char *sl_run_reason_text(const char *reason)
{
    const Reason *row = reason != NULL ? find_reason(reason) : NULL;
    return row != NULL ? row->text : "";
}

/* "NVRM: Xid (PCI:0000:3b:00): 79, pid=..." in the log: is it the card's fault? */
static bool has_hardware_xid(const char *log)
{
    for (const char *at = strstr(log, "xid (pci:"); at != NULL; at = strstr(at + 1, "xid (pci:")) {
        const char *close = strstr(at, "): ");
        int xid = 0;
        for (const char *c = close != NULL ? close + 3 : "";
             isdigit((unsigned char)*c) && xid < 1000; c++) {
            xid = xid * 10 + (*c - '0');
        }
        for (size_t i = 0; i < G_N_ELEMENTS(hardware_xids); i++) {
            if (hardware_xids[i] == xid) {
                return true;
            }
        }
    }
    return false;
}

static const char *reason_of_log(const char *log_tail, int signal)
{
    size_t len = log_tail != NULL ? strlen(log_tail) : 0;
    const char *from = len > LOG_TAIL_MAX ? log_tail + (len - LOG_TAIL_MAX) : log_tail;
    g_autofree char *log = g_ascii_strdown(from != NULL ? from : "", -1);
    if (has_hardware_xid(log)) {
        return "GpuLost";
    }
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        if (strstr(log, patterns[i].pattern) != NULL) {
            return patterns[i].reason;
        }
    }
    /* NCCL's warnings alone mean little; with an abort they are its watchdog's last words. */
    return signal == SIGNAL_ABORT && strstr(log, "nccl warn") != NULL ? "NcclError" : NULL;
}

static const char *reason_of_exit(int code, int signal)
{
    switch (signal) {
    case 0:
        return code == 0     ? "Completed"
               : code == 127 ? "CommandNotFound"
               : code == 126 ? "CommandNotExecutable"
                             : "NonZeroExit";
    case SIGNAL_KILL:
        return "Killed";
    case SIGNAL_TERM: /* not by us: a machine that shuts down asks so */
        return "Terminated";
    case SIGNAL_INT:
        return "Interrupted";
    case SIGNAL_ABORT:
        return "Aborted";
    default:
        return "Crashed";
    }
}

SlFailure sl_run_classify(int code, int signal, bool oom, bool timed_out, const char *log_tail,
                          char **ret_reason)
{
    if (signal == 0 && code > 128 && code < 128 + 65) {
        signal = code - 128; /* a shell or torchrun passed the child's signal on */
    }
    const char *word = timed_out ? "Timeout" : oom ? "OOMKilled" : NULL;
    bool asked = signal == SIGNAL_TERM || signal == SIGNAL_INT;
    if (word == NULL && (code != 0 || signal != 0) && !asked) {
        word = reason_of_log(log_tail, signal);
    }
    if (word == NULL) {
        word = reason_of_exit(code, signal);
    }
    if (ret_reason != NULL) {
        *ret_reason = g_strdup(word);
    }
    return find_reason(word)->failure;
}

bool sl_run_may_retry(const json_t *retries, SlFailure cause, const json_t *failures_so_far)
{
    const char *key = NULL;
    int64_t limit = 0;
    switch (cause) {
    case SL_FAILURE_USER:
        key = "user";
        limit = 0;
        break;
    case SL_FAILURE_INFRA:
        key = "infra";
        limit = 3;
        break;
    case SL_FAILURE_GPU:
        key = "gpu";
        limit = 3;
        break;
    default:
        return false;
    }
    return sl_json_int(failures_so_far, key, 1) <= sl_json_int(retries, key, limit);
}
