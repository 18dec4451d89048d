"""What a cluster's folder holds before anything runs: its own CA and certificates, tokens, kubeconfigs, the audit policy.

Made by openssl and the random generator, new for each cluster: nothing here opens another one.
"""
import json
import os
import secrets
import subprocess

CNF = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
subjectAltName = IP:127.0.0.1, DNS:localhost
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
"""
# Everything that tests may ask about, and not the control plane's own reading and housekeeping.
AUDIT = {
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "users": ["controllers", "scheduler", "kwok"], "verbs": ["get", "list", "watch"]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]},
                                        {"group": "", "resources": ["events"]}, {"group": "events.k8s.io", "resources": ["events"]}]},
        {"level": "Metadata"},
    ],
}
MASTERS = ("admin", "controllers", "scheduler", "kwok")  # in system:masters; each part has its own name, so the audit log tells them apart


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text if isinstance(text, str) else json.dumps(text, indent=1))
    return path


def make(folder, url, users):
    """Writes everything; returns the token of each user."""
    write(folder, "openssl.cnf", CNF)
    certificate(folder, "ca", "ca", "/CN=sluice-test-cluster")
    certificate(folder, "server", "server", "/CN=apiserver", issuer="ca")
    certificate(folder, "client", "client", "/O=system:masters/CN=admin", issuer="ca")
    openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "sa.key")
    openssl(folder, "pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    tokens = {user: secrets.token_hex(16) for user in (*MASTERS, *users)}
    write(folder, "tokens.csv", "".join(f"{token},{user},{user}{',system:masters' if user in MASTERS else ''}\n" for user, token in tokens.items()))
    write(folder, "audit-policy.yaml", AUDIT)
    for user, token in tokens.items():
        write(folder, f"kubeconfig-{user}", kubeconfig(folder, url, user, {"token": token}))
    here = os.path.join(folder, "client")
    write(folder, "kubeconfig-certificate", kubeconfig(folder, url, "admin", {"client-certificate": here + ".crt", "client-key": here + ".key"}))
    return tokens


def certificate(folder, name, extensions, subject, issuer=None):
    by = ("-CA", issuer + ".crt", "-CAkey", issuer + ".key") if issuer else ()
    openssl(folder, "req", "-x509", "-config", "openssl.cnf", "-extensions", extensions, *by, "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "365", "-subj", subject, "-keyout", name + ".key", "-out", name + ".crt")


def openssl(folder, *args):
    done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr}")


def kubeconfig(folder, url, user, credentials):
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": os.path.join(folder, "ca.crt")}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": "default"}}],
    }
