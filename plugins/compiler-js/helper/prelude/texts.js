// SPDX-License-Identifier: Apache-2.0
//
// texts.js - part of the prelude (values.js): the functions on texts, the modules path and process, print and alert.

    // ---- Texts ----

    // White space as Unicode has it. JavaScript's own trim() takes U+FEFF, too, and leaves U+0085.
    const blanks = create(null);
    for (const c of "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028"
        + "\u2029\u202f\u205f\u3000")
        blanks[c] = true;

    function trim(s) {
        let begin = 0;
        let end = s.length;
        while (begin < end && s[begin] in blanks)
            begin++;
        while (end > begin && s[end - 1] in blanks)
            end--;
        return begin === 0 && end === s.length ? s : slice(s, begin, end);
    }

    function shellSplit(value) {
        const s = text(value);
        const words = [];
        let word = "";
        let inWord = false;
        for (let i = 0; i < s.length; i++) {
            const c = s[i];
            if (c === " " || c === "\t" || c === "\r" || c === "\n") {
                if (inWord)
                    words[words.length] = word;
                word = "";
                inWord = false;
            } else if (c === "#" && !inWord) {
                while (i + 1 < s.length && s[i + 1] !== "\n")
                    i++;
            } else if (c === "'" || c === '"') {
                inWord = true;
                for (i++; i < s.length && s[i] !== c; i++) {
                    if (c === '"' && s[i] === "\\")
                        i++;
                    if (i < s.length)
                        word += s[i];
                }
                if (i >= s.length)
                    throw new ErrorType("shellSplit: a quote is not closed");
            } else {
                inWord = true;
                if (c === "\\" && ++i >= s.length)
                    throw new ErrorType("shellSplit: nothing follows the last backslash");
                word += s[i];
            }
        }
        if (inWord)
            words[words.length] = word;
        return words;
    }

    const path = {
        basename(p) {
            const s = replaceAll(text(p), "\\", "/");
            let end = s.length;
            while (end > 0 && s[end - 1] === "/")
                end--;
            if (end === 0)
                return s === "" ? "." : "/";
            return slice(s, lastIndexOf(s, "/", end - 1) + 1, end);
        },
        dirname(p) {
            const s = replaceAll(text(p), "\\", "/");
            const at = lastIndexOf(s, "/");
            return at < 0 ? "." : slice(s, 0, at === 0 ? 1 : at);
        },
        stem(p) {
            const base = basename(p);
            const at = lastIndexOf(base, ".");
            return at < 0 ? base : slice(base, 0, at);
        },
        join(...parts) {
            const given = [];
            for (let i = 0; i < parts.length; i++) {
                const part = text(parts[i]);
                if (part !== "")
                    given[given.length] = part;
            }
            if (given.length === 0)
                return "";
            const whole = join(given, "/");
            const rooted = whole[0] === "/";
            const names = split(whole, "/");
            const kept = [];
            for (let i = 0; i < names.length; i++) {
                const name = names[i];
                if (name === "" || name === ".")
                    continue;
                if (name === ".." && kept.length > 0 && kept[kept.length - 1] !== "..")
                    kept.length--;
                else if (name !== ".." || !rooted)
                    kept[kept.length] = name;
            }
            const cleaned = (rooted ? "/" : "") + join(kept, "/");
            return replaceAll(cleaned === "" ? "." : cleaned, "\\", "/");
        },
    };
    const { basename } = path;

    const process = { platform, cwd: () => workingDirectory };

    const globals = {
        frameChunker: (range, chunkSize) => split(native.chunk(text(range), integer(chunkSize)), "\n"),
        frameCount: (range) => native.count(text(range)),
        formatTimestampLocal,
        shellSplit,
        print: (...args) => native.log(0, display(args)),
        alert: (...args) => native.log(1, display(args)),
    };

    // How print() shows values: objects as JSON where that is possible.
    function display(args) {
        for (let i = 0; i < args.length; i++) {
            try {
                const json = typeof args[i] === "object" && !(args[i] instanceof ErrorType) ? stringify(args[i]) : undefined;
                args[i] = typeof json === "string" ? json : StringOf(args[i]);
            } catch (e) {
                args[i] = "[object]";
            }
        }
        return join(args, " ");
    }
