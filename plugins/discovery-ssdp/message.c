/* SPDX-License-Identifier: Apache-2.0
 *
 * message.c - see message.h.
 */
#include "message.h"

#include <strings.h>
#include <time.h>

#define MAX_AGE_S 3600
#define MX_MAX_S 60u
#define USN_SERVICE "uuid:" FL_SSDP_UUID "::" FL_SSDP_TYPE
#define SERVER "linux/0.0 UPnP/1.0 flamenco-manager/0.1"

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

static flamenco_str trim(flamenco_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        ++s.ptr;
        --s.len;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        --s.len;
    return s;
}

static int has_prefix(flamenco_str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}

static int is_name(flamenco_str s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.ptr, name, (size_t)s.len) == 0;
}

/* Takes the next line off the front, without its line end. Returns 0 when no line end is left. */
static int next_line(flamenco_str *rest, flamenco_str *line)
{
    const char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', (size_t)rest->len) : NULL;
    if (newline == NULL)
        return 0;
    *line = (flamenco_str){ rest->ptr, (uint64_t)(newline - rest->ptr) };
    rest->len -= line->len + 1;
    rest->ptr = newline + 1;
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        --line->len;
    return 1;
}

/* Control characters have no business in a head. */
static int is_clean(flamenco_str line)
{
    for (uint64_t i = 0; i < line.len; ++i) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

static int is_token(flamenco_str name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (uint64_t i = 0; i < name.len; ++i) {
        char c = name.ptr[i];
        int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(others, c) == NULL))
            return 0;
    }
    return name.len > 0;
}

static fl_ssdp_target read_target(flamenco_str st)
{
    static const struct {
        const char *text;
        fl_ssdp_target target;
    } known[] = {
        { FL_SSDP_TYPE, FL_SSDP_SERVICE },        { "ssdp:all", FL_SSDP_ALL },         { FL_SSDP_UUID, FL_SSDP_BARE },
        { "uuid:" FL_SSDP_UUID, FL_SSDP_DEVICE }, { "upnp:rootdevice", FL_SSDP_ROOT },
    };
    if (st.len >= 2 && st.ptr[0] == '"' && st.ptr[st.len - 1] == '"')
        st = (flamenco_str){ st.ptr + 1, st.len - 2 };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i)
        if (flamenco_str_equal(st, flamenco_text(known[i].text)))
            return known[i].target;
    return FL_SSDP_NOT_US;
}

static uint32_t read_mx(flamenco_str text)
{
    uint32_t value = 0;
    for (uint64_t i = 0; i < text.len; ++i) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 1;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
        if (value > MX_MAX_S)
            value = MX_MAX_S;
    }
    return value > 0 ? value : 1;
}

/* The first header of each name counts. */
static void note_first(flamenco_str *header, flamenco_str value)
{
    if (header->ptr == NULL)
        *header = value;
}

static fl_ssdp_kind read_search(flamenco_str rest, fl_ssdp_search *out)
{
    flamenco_str line, man = { NULL, 0 }, mx = { NULL, 0 }, st = { NULL, 0 };
    for (;;) {
        if (!next_line(&rest, &line))
            return FL_SSDP_GARBAGE; /* cut off */
        if (line.len == 0)
            break;
        const char *colon = memchr(line.ptr, ':', (size_t)line.len);
        if (colon == NULL || !is_clean(line))
            return FL_SSDP_GARBAGE;
        flamenco_str name = { line.ptr, (uint64_t)(colon - line.ptr) };
        flamenco_str value = trim((flamenco_str){ colon + 1, line.len - name.len - 1 });
        if (!is_token(name))
            return FL_SSDP_GARBAGE;
        if (is_name(name, "MAN"))
            note_first(&man, value);
        else if (is_name(name, "MX"))
            note_first(&mx, value);
        else if (is_name(name, "ST"))
            note_first(&st, value);
    }
    if (man.len == 0 || mx.len == 0 || st.len == 0)
        return FL_SSDP_GARBAGE;
    *out = (fl_ssdp_search){ read_target(st), read_mx(mx) };
    return FL_SSDP_SEARCH;
}

fl_ssdp_kind fl_ssdp_read(const char *data, size_t len, fl_ssdp_search *out)
{
    flamenco_str rest = { data, len }, line;
    if (len > FL_SSDP_DATAGRAM_MAX || !next_line(&rest, &line) || !is_clean(line))
        return FL_SSDP_GARBAGE;
    if (has_prefix(line, "NOTIFY ") || has_prefix(line, "HTTP/"))
        return FL_SSDP_OTHER;
    if (!flamenco_str_equal(line, flamenco_text("M-SEARCH * HTTP/1.1")) &&
        !flamenco_str_equal(line, flamenco_text("M-SEARCH * HTTP/1.0")))
        return FL_SSDP_GARBAGE;
    return read_search(rest, out);
}

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

static size_t checked(int n, size_t size)
{
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

size_t fl_ssdp_write_notify(char *out, const char *group, int alive, const char *url)
{
    int n = alive ? snprintf(out, FL_SSDP_DATAGRAM_MAX,
                             "NOTIFY * HTTP/1.1\r\nHOST: %s\r\nNT: " FL_SSDP_TYPE "\r\nNTS: ssdp:alive\r\n"
                             "USN: " USN_SERVICE "\r\nLOCATION: %supnp/description.xml\r\n"
                             "CACHE-CONTROL: max-age=%d\r\nSERVER: " SERVER "\r\n\r\n",
                             group, url, MAX_AGE_S)
                  : snprintf(out, FL_SSDP_DATAGRAM_MAX,
                             "NOTIFY * HTTP/1.1\r\nHOST: %s\r\nNT: " FL_SSDP_TYPE "\r\nNTS: ssdp:byebye\r\n"
                             "USN: " USN_SERVICE "\r\n\r\n",
                             group);
    return checked(n, FL_SSDP_DATAGRAM_MAX);
}

/* The time as HTTP has it, whatever the locale. */
static void write_date(char *out, size_t size, int64_t now_us)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t now_s = (time_t)(now_us / 1000000);
    struct tm tm;
    out[0] = '\0';
    if (gmtime_r(&now_s, &tm) != NULL)
        snprintf(out, size, "DATE: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
                 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

size_t fl_ssdp_write_answer(char *out, fl_ssdp_target target, const char *url, int64_t now_us)
{
    const char *st = FL_SSDP_TYPE, *usn = USN_SERVICE;
    char date[64];
    if (target == FL_SSDP_DEVICE) {
        st = usn = "uuid:" FL_SSDP_UUID;
    } else if (target == FL_SSDP_ROOT) {
        st = "upnp:rootdevice";
        usn = "uuid:" FL_SSDP_UUID "::upnp:rootdevice";
    }
    write_date(date, sizeof(date), now_us);
    return checked(snprintf(out, FL_SSDP_DATAGRAM_MAX,
                            "HTTP/1.1 200 OK\r\nST: %s\r\nUSN: %s\r\nLOCATION: %supnp/description.xml\r\n"
                            "CACHE-CONTROL: max-age=%d\r\n%sSERVER: " SERVER "\r\nEXT:\r\n\r\n",
                            st, usn, url, MAX_AGE_S, date),
                   FL_SSDP_DATAGRAM_MAX);
}

size_t fl_ssdp_write_description(char *out, size_t size, const char *version)
{
    return checked(snprintf(out, size,
                            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<root xmlns=\"urn:schemas-upnp-org:device-1-0\">\n"
                            "  <specVersion>\n"
                            "    <major>1</major>\n"
                            "    <minor>0</minor>\n"
                            "  </specVersion>\n"
                            "  <URLBase>/</URLBase>\n"
                            "  <device>\n"
                            "    <deviceType>" FL_SSDP_TYPE "</deviceType>\n"
                            "    <friendlyName>Flamenco %s</friendlyName>\n"
                            "    <manufacturer>Blender</manufacturer>\n"
                            "    <manufacturerURL>https://www.blender.org/</manufacturerURL>\n"
                            "    <modelDescription>Manager of a Flamenco render farm</modelDescription>\n"
                            "    <modelName>Flamenco</modelName>\n"
                            "    <modelURL>https://flamenco.io/</modelURL>\n"
                            "    <UDN>uuid:" FL_SSDP_UUID "</UDN>\n"
                            "    <presentationURL>/</presentationURL>\n"
                            "  </device>\n"
                            "</root>\n",
                            version),
                   size);
}
