/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.c - the TLS settings of the server. HTTP/2 is never offered: h2o 2.2 has no limit on stream resets.
 */
#include "core/http/internal.h"

#include <openssl/err.h>

static int select_http1(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned int in_len, void *arg)
{
    static const unsigned char offered[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, offered, sizeof(offered) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int32_t fail(flamenco_error *err, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    flamenco_fail(err, FLAMENCO_E_INVALID, "TLS: %s: %s", file,
                  ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
                  : reason != NULL       ? reason
                                         : "cannot be used");
    ERR_clear_error();
    return FLAMENCO_E_INVALID;
}

int32_t fl_tls_open(const fl_http_config *config, SSL_CTX **out, flamenco_error *err)
{
    SSL_CTX *ssl;
    int32_t result = FLAMENCO_OK;
    if (config->tls_cert == NULL && config->tls_key == NULL)
        return FLAMENCO_OK;
    if (config->tls_cert == NULL || config->tls_key == NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "TLS: certificate and key are both needed");
    ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "TLS: no memory");
    /* A renegotiation in mid-connection is not supported by h2o's socket layer. */
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ssl, select_http1, NULL);
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
        result = fail(err, "TLS 1.2");
    else if (SSL_CTX_use_certificate_chain_file(ssl, config->tls_cert) != 1)
        result = fail(err, config->tls_cert);
    else if (SSL_CTX_use_PrivateKey_file(ssl, config->tls_key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ssl) != 1)
        result = fail(err, config->tls_key);
    if (result != FLAMENCO_OK) {
        SSL_CTX_free(ssl);
        return result;
    }
    *out = ssl;
    return FLAMENCO_OK;
}
