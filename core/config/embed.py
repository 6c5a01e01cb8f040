# SPDX-License-Identifier: Apache-2.0
# Makes C of etc/manager.yaml, the copy for when no file exists. Called by meson: embed.py INPUT OUTPUT
import sys

with open(sys.argv[1], 'rb') as f:
    data = f.read()
with open(sys.argv[2], 'w') as f:
    f.write('/* Generated from etc/manager.yaml. */\n#include "core/config/manager_yaml.h"\n\n')
    f.write('static const unsigned char text[] = {')
    for i, byte in enumerate(data + b'\0'):
        f.write(('\n    ' if i % 20 == 0 else ' ') + '%d,' % byte)
    f.write('\n};\n\nflamenco_str fl_manager_yaml_embedded(void)\n{\n'
            '    return (flamenco_str){ (const char *)text, sizeof(text) - 1 };\n}\n')
