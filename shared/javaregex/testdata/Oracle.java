// Oracle fills in the results of java.tsv with the JDK's own engine:
//
//	cut -f1-3 testdata/java.tsv | java testdata/Oracle.java > new.tsv
//
// A case is pattern, text, replacement, separated by tabs, with the escapes
// \t \n \r \\ and \\u with four digits. The results are matches, find and
// replaceAll, or E where Java throws.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.regex.*;

public class Oracle {
    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            if (line.isEmpty() || line.startsWith("#")) {
                out.println(line);
                continue;
            }
            String[] f = line.split("\t", -1);
            out.println(line + "\t" + judge(unescape(f[0]), unescape(f[1]), unescape(f[2])));
        }
        out.flush();
    }

    static String judge(String pattern, String text, String replacement) {
        Pattern p;
        try {
            p = Pattern.compile(pattern);
        } catch (PatternSyntaxException e) {
            return "E";
        }
        String replaced;
        try {
            replaced = escape(p.matcher(text).replaceAll(replacement));
        } catch (RuntimeException e) {
            replaced = "E";
        }
        return p.matcher(text).matches() + "\t" + p.matcher(text).find() + "\t" + replaced;
    }

    static String unescape(String s) {
        StringBuilder b = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c != '\\') {
                b.append(c);
                continue;
            }
            c = s.charAt(++i);
            switch (c) {
                case 't': b.append('\t'); break;
                case 'n': b.append('\n'); break;
                case 'r': b.append('\r'); break;
                case 'u': b.append((char) Integer.parseInt(s.substring(i + 1, i + 5), 16)); i += 4; break;
                default: b.append(c);
            }
        }
        return b.toString();
    }

    static String escape(String s) {
        StringBuilder b = new StringBuilder();
        for (char c : s.toCharArray()) {
            switch (c) {
                case '\t': b.append("\\t"); break;
                case '\n': b.append("\\n"); break;
                case '\r': b.append("\\r"); break;
                case '\\': b.append("\\\\"); break;
                default:
                    if (c < 0x20 || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029) {
                        b.append(String.format("\\u%04x", (int) c));
                    } else {
                        b.append(c);
                    }
            }
        }
        return b.toString();
    }
}
