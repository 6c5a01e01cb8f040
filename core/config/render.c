/* SPDX-License-Identifier: Apache-2.0
 *
 * render.c - writes manager.yaml as shipped, from what the plugins declare; so the file cannot fall behind them.
 * See fl_manager_yaml_render in settings.h. Settings stand there commented out, at their defaults: a later release may
 * change a default for everybody who did not choose a value.
 */
#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/config/reference_internal.h"
#include "core/config/settings.h"

static const char head[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "#\n"
    "# manager.yaml - which plugins the manager loads, and how it works. The manager reads this file at start and "
    "never\n"
    "# writes it; check a change with `flamenco-manager --check-config`. It is looked for as `-config FILE`, else as\n"
    "# ./etc/manager.yaml, else where it was installed.\n"
    "#\n"
    "# What the web interface can change stands in flamenco-manager.yaml in the working directory; what that file "
    "leaves\n"
    "# out can be preset here (see the end). What stands behind # is the default.\n"
    "#\n"
    "# Made from the plugins' own declarations; do not change it in the source tree, run flamenco-manager-yaml there.\n"
    "\n"
    "# Directories with plugins; relative ones are below the install prefix.\n"
    "#plugin_path: [lib/flamenco/plugins]\n"
    "\n"
    "# The version that is told to clients; empty = that of the add-on that is served.\n"
    "#reported_version:\n";

static const char plugins_head[] = "\n"
                                   "# One plugin per member; a member that is left out is not loaded. `file` is a bare "
                                   "name, NAME.so in the plugin_path,\n"
                                   "# or an absolute path; `enabled: false` switches a plugin off; `use: NAME` lets "
                                   "the instance of another member serve\n"
                                   "# this one, too; `name` gives an instance another name than its member's. Without "
                                   "this section all of it is loaded\n"
                                   "# as it stands here.\n"
                                   "plugins:\n";

/* Writes a declaration's default as YAML. Declared texts hold nothing that YAML could take for something else. */
static void add_default(fl_buf *out, const flamenco_setting *s)
{
    const char *text = s->default_text != NULL ? s->default_text : "";
    if (s->type != FLAMENCO_SETTING_TEXT_LIST && s->type != FLAMENCO_SETTING_PATH_LIST) {
        if (s->type == FLAMENCO_SETTING_TEXT || s->type == FLAMENCO_SETTING_PATH || s->type == FLAMENCO_SETTING_CHOICE)
            fl_reference_yaml_text(out, flamenco_text(text), 0);
        else
            fl_buf_add_text(out, text);
        return;
    }
    flamenco_str rest = flamenco_text(text), part;
    int n = 0;
    fl_buf_add_char(out, '[');
    while (fl_str_split(&rest, ' ', &part)) {
        if (part.len == 0)
            continue;
        fl_buf_add_text(out, n++ > 0 ? ", " : "");
        fl_reference_yaml_text(out, part, 1);
    }
    fl_buf_add_char(out, ']');
}

static void add_setting(fl_buf *out, const flamenco_setting *s, const char *indent)
{
    char limits[256];
    fl_setting_limits(s, limits, sizeof(limits));
    fl_buf_printf(out, "%s# %s (%s", indent, s->doc != NULL ? s->doc : s->key, fl_setting_type_key(s->type));
    if (s->unit != NULL && strcmp(s->unit, fl_setting_type_key(s->type)) != 0)
        fl_buf_printf(out, ", %s", s->unit);
    if (limits[0] != '\0')
        fl_buf_printf(out, ", %s", limits);
    if ((s->flags & FLAMENCO_SETTING_REQUIRED) != 0)
        fl_buf_add_text(out, ", must be given");
    fl_buf_add_text(out, ")\n");
    if (s->reference_key != NULL) {
        fl_buf_printf(out, "%s# It is the key %s of flamenco-manager.yaml, to be preset below.\n", indent,
                      s->reference_key);
        return;
    }
    fl_buf_printf(out, "%s#%s: ", indent, s->key);
    add_default(out, s);
    fl_buf_add_char(out, '\n');
}

static void add_plugin(fl_buf *out, const fl_render_plugin *plugin, int list)
{
    const char *lead = list ? "    - " : "    ", *indent = list ? "      " : "    ";
    fl_buf_printf(out, "%sfile: %s\n", lead, plugin->file);
    if (plugin->descriptor == NULL || plugin->descriptor->settings == NULL || plugin->descriptor->settings[0] == NULL)
        return;
    fl_buf_printf(out, "%ssettings:\n", indent);
    for (const flamenco_setting *const *s = plugin->descriptor->settings; *s != NULL; ++s) {
        flamenco_setting copy = { 0 };
        size_t size = (*s)->struct_size < sizeof(copy) ? (*s)->struct_size : sizeof(copy);
        memcpy(&copy, *s, size);
        add_setting(out, &copy, list ? "        " : "      ");
    }
}

static void add_member(fl_buf *out, const fl_member *member, const fl_render_plugin *plugins, size_t n)
{
    int any = (member->flags & FL_MEMBER_ANY) != 0, found = 0;
    fl_buf_printf(out, "  # %s%s\n", member->doc, any ? " Any number, so this is a list." : "");
    for (size_t i = 0; i < n; ++i) {
        if (plugins[i].member != member)
            continue;
        if (!found)
            fl_buf_printf(out, "  %s:\n", member->name);
        found = 1;
        add_plugin(out, &plugins[i], any);
    }
    if (!found)
        fl_buf_printf(out, any ? "  #%s:\n  #  - file:\n" : "  #%s:\n  #  file:\n", member->name);
}

void fl_manager_yaml_render(const fl_render_plugin *plugins, size_t n, fl_buf *out)
{
    fl_buf_add_text(out, head);
    fl_buf_add_text(out, plugins_head);
    for (size_t i = 0; i < fl_members_count; ++i)
        add_member(out, &fl_members[i], plugins, n);
    for (size_t i = 0; i < fl_sections_count; ++i) {
        const fl_section *section = &fl_sections[i];
        fl_buf_printf(out, "\n# %s\n%s:\n", section->doc, section->name);
        for (size_t k = 0; k < section->count; ++k)
            add_setting(out, &section->settings[k].setting, "  ");
    }
    fl_buf_add_text(out, "\n# Presets for flamenco-manager.yaml, whose values win.\n");
    fl_reference_yaml_commented(out);
}
