/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.c - see tls.h. libmosquitto is given an address, not a name, and a context of ours: so the check of the name is ours,
 * too, and so is the name in the greeting (SNI).
 */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A key with a passphrase is refused; the default would ask at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1;
}

/* Keeps what was wrong with the broker's certificate. Changes no verdict. */
static int note_verdict(int ok, X509_STORE_CTX *store)
{
    if (ok)
        return ok;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    mqtt_tls *tls = ssl != NULL ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;
    if (tls != NULL && tls->why[0] == '\0')
        (void)snprintf(tls->why, sizeof(tls->why), "the certificate of the broker is not accepted: %s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    return ok;
}

static int is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* Before the first message of the handshake is made: libmosquitto has put the address there. */
static void set_server_name(const SSL *ssl, int where, int value)
{
    (void)value;
    if ((where & SSL_CB_HANDSHAKE_START) == 0)
        return;
    const mqtt_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    /* An address is no server name. The callback's pointer is const though it is meant for such changes. */
    SSL *changed = (SSL *)(uintptr_t)ssl;
    const char *name = is_address(tls->host) ? NULL : tls->host;
    (void)SSL_set_tlsext_host_name(changed, name);
}

static int32_t fail(flamenco_error *err, int32_t code, const char *what, const char *file)
{
    char text[120] = "";
    unsigned long why = ERR_peek_last_error();
    if (why != 0)
        ERR_error_string_n(why, text, sizeof(text));
    ERR_clear_error();
    return flamenco_fail(err, code, "%s %s cannot be used: %s", what, file, text);
}

static int32_t load_files(SSL_CTX *ctx, const mqtt_settings *settings, flamenco_error *err)
{
    if (settings->ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1)
            return fail(err, FLAMENCO_E_IO, "the certificates of", "the system");
    } else if (SSL_CTX_load_verify_file(ctx, settings->ca_file) != 1) {
        return fail(err, FLAMENCO_E_IO, "ca_file", settings->ca_file);
    }
    if (settings->cert_file == NULL)
        return FLAMENCO_OK;
    if (SSL_CTX_use_certificate_chain_file(ctx, settings->cert_file) != 1)
        return fail(err, FLAMENCO_E_IO, "cert_file", settings->cert_file);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_PrivateKey_file(ctx, settings->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, FLAMENCO_E_IO, "key_file", settings->key_file);
    return FLAMENCO_OK;
}

int32_t fl_mqtt_tls_init(mqtt_tls *tls, const mqtt_settings *settings, flamenco_error *err)
{
    memset(tls, 0, sizeof(*tls));
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for TLS");
    tls->host = settings->broker.host;
    SSL_CTX_set_app_data(ctx, tls);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, note_verdict);
    SSL_CTX_set_info_callback(ctx, set_server_name);
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    int good = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
               (is_address(tls->host) ? X509_VERIFY_PARAM_set1_ip_asc(param, tls->host) == 1
                                      : X509_VERIFY_PARAM_set1_host(param, tls->host, 0) == 1);
    int32_t rc = good ? load_files(ctx, settings, err) : flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for TLS");
    if (rc != FLAMENCO_OK) {
        SSL_CTX_free(ctx);
        return rc;
    }
    tls->ctx = ctx;
    return FLAMENCO_OK;
}

void fl_mqtt_tls_fini(mqtt_tls *tls)
{
    SSL_CTX_free(tls->ctx);
    tls->ctx = NULL;
}
