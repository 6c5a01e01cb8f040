/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tls.c - the server over TLS, with a certificate made on the spot.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

static harness h;
static client c;
static fl_http_config config;
static SSL_CTX *context;
static SSL *ssl;
static char directory[] = "tls-XXXXXX", cert_path[64], key_path[64];

static int write_pair(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *out;
    int ok = key != NULL && cert != NULL;
    if (ok) {
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
        X509_gmtime_adj(X509_getm_notBefore(cert), 0);
        X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
        X509_set_pubkey(cert, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                   -1, 0);
        X509_set_issuer_name(cert, X509_get_subject_name(cert));
        ok = X509_sign(cert, key, EVP_sha256()) > 0;
    }
    if (ok && (out = fopen(cert_path, "w")) != NULL) {
        ok = PEM_write_X509(out, cert);
        fclose(out);
    }
    if (ok && (out = fopen(key_path, "w")) != NULL) {
        ok = PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
        fclose(out);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok ? 0 : -1;
}

static int make_pair(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", directory);
    snprintf(key_path, sizeof(key_path), "%s/key.pem", directory);
    context = SSL_CTX_new(TLS_client_method());
    return context == NULL || write_pair() != 0;
}

static int remove_pair(void **state)
{
    (void)state;
    SSL_CTX_free(context);
    unlink(cert_path);
    unlink(key_path);
    return rmdir(directory);
}

static int setup(void **state)
{
    (void)state;
    harness_config(&h, &config);
    config.tls_cert = cert_path;
    config.tls_key = key_path;
    config.head_timeout_us = 500000;
    if (harness_start(&h, &config) != FLAMENCO_OK || client_open(&c, h.port) != 0)
        return -1;
    ssl = SSL_new(context);
    return ssl == NULL || SSL_set_fd(ssl, c.fd) != 1;
}

static int teardown(void **state)
{
    (void)state;
    SSL_free(ssl);
    client_close(&c);
    return harness_stop(&h) != FLAMENCO_OK;
}

/* Reads until `want` bytes of body have come behind a head. Returns the body's bytes, or -1. */
static long read_reply(char *head, size_t cap, size_t want)
{
    size_t len = 0;
    char *end = NULL;
    while (end == NULL) {
        int n = SSL_read(ssl, head + len, (int)(cap - 1 - len));
        if (n <= 0)
            return -1;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    size_t body = len - (size_t)(end + 4 - head);
    while (body < want) {
        static char rest[65536];
        int n = SSL_read(ssl, rest, sizeof(rest));
        if (n <= 0)
            return -1;
        body += (size_t)n;
    }
    return (long)body;
}

static void requests_work_and_only_http_1_is_offered(void **state)
{
    static const unsigned char offer[] = "\x02h2\x08http/1.1";
    const unsigned char *chosen;
    unsigned chosen_len;
    char head[4096];
    (void)state;
    assert_int_equal(SSL_set_alpn_protos(ssl, offer, sizeof(offer) - 1), 0);
    assert_int_equal(SSL_connect(ssl), 1);
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
    assert_int_equal(chosen_len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    for (int i = 0; i < 3; ++i) {
        static const char request[] = "GET /now HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_int_equal(SSL_write(ssl, request, sizeof(request) - 1), sizeof(request) - 1);
        assert_int_equal(read_reply(head, sizeof(head), 3), 3);
        assert_memory_equal(head, "HTTP/1.1 200 OK", 15);
    }
}

static void a_large_reply_comes_in_pieces(void **state)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
    static char head[65536];
    fl_http_reply reply = { .status = 200, .body = shared_text("0123456789abcdef", 1 << 18) };
    (void)state;
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, request, sizeof(request) - 1), sizeof(request) - 1);
    fl_http_request *pending = harness_take(&h);
    assert_non_null(pending);
    fl_http_answer(pending, &reply);
    assert_int_equal(read_reply(head, sizeof(head), 4 << 20), 4 << 20);
}

static void a_body_arrives(void **state)
{
    static char request[200000];
    char head[4096];
    (void)state;
    int n = snprintf(request, sizeof(request), "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    memset(request + n, 'x', 100000);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, request, n + 100000), n + 100000);
    fl_http_request *pending = harness_take(&h);
    assert_non_null(pending);
    assert_int_equal(fl_http_request_body(pending).len, 100000);
    answer_text(pending, "ok");
    assert_int_equal(read_reply(head, sizeof(head), 2), 2);
}

static void a_held_client_that_leaves_is_noticed(void **state)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
    (void)state;
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, request, sizeof(request) - 1), sizeof(request) - 1);
    fl_http_request *pending = harness_take(&h);
    assert_non_null(pending);
    fl_http_hold(pending);
    SSL_shutdown(ssl);
    shutdown(c.fd, SHUT_RDWR);
    assert_true(harness_wait_gone(&h, 1));
    fl_http_drop(pending);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_handshake_that_stalls_is_cut(void **state)
{
    (void)state;
    assert_int_equal(client_send(&c, "\x16\x03\x01", 3), 0);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void clear_text_is_not_served(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(requests_work_and_only_http_1_is_offered), T(a_large_reply_comes_in_pieces),  T(a_body_arrives),
        T(a_held_client_that_leaves_is_noticed),     T(a_handshake_that_stalls_is_cut), T(clear_text_is_not_served),
    };
    return cmocka_run_group_tests_name("http tls", tests, make_pair, remove_pair);
}
