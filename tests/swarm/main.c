/* main.c - sluice-swarm: what benches and flood tests put in front of a real coordinator. */
#include "swarm.h"

#include "base/digest.h"
#include "base/text.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: sluice-swarm prepare DIR ENV SEED COUNT          adds COUNT agents to the registry\n"
    "       sluice-swarm run ENDPOINT SERVER-KEY ENV SEED FIRST COUNT PERIOD-MS\n"
    "                        honest agents FIRST.. that report every PERIOD-MS; commands on stdin\n"
    "       sluice-swarm raw ENDPOINT SERVER-KEY WHAT SEED INDEX SECONDS\n"
    "                        one hostile peer; WHAT: see raw.c\n";

void swarm_keys(const char *seed, unsigned index, SwarmKeys *ret_keys)
{
    g_autofree char *sign = g_strdup_printf("%s sign %u", seed, index);
    g_autofree char *curve = g_strdup_printf("%s curve %u", seed, index);
    uint8_t raw[32], public_[32];
    sl_sha256_raw(sign, strlen(sign), raw);
    crypto_sign_seed_keypair(public_, ret_keys->secret, raw);
    sl_sha256_raw(curve, strlen(curve), raw);
    crypto_box_seed_keypair(ret_keys->curve.public_, ret_keys->curve.secret, raw);
}

char *swarm_name(unsigned index)
{
    return g_strdup_printf("sw%05u", index);
}

unsigned swarm_number(const char *text, const char *what)
{
    uint64_t number = 0;
    if (!sl_parse_uint64(text, &number) || number > 1000000) {
        (void)fprintf(stderr, "sluice-swarm: %s: `%s` is no number up to 1000000\n", what, text);
        return 0;
    }
    return (unsigned)number;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arguments;
        int (*run)(int argc, char **argv);
    } commands[] = {{"prepare", 6, swarm_prepare}, {"run", 9, swarm_run}, {"raw", 8, swarm_raw}};
    if (sodium_init() < 0) {
        return 70;
    }
    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc == commands[i].arguments) {
            return commands[i].run(argc, argv);
        }
    }
    (void)fputs(usage, stderr);
    return 64;
}
