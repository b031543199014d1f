// Oracle fills in the results of format.tsv and parse.tsv with the JDK:
//
//	cut -f1-3 testdata/format.tsv | java testdata/Oracle.java format > new.tsv
//	cut -f1-3 testdata/parse.tsv | java testdata/Oracle.java parse > new.tsv
//
// format: pattern, zone, milliseconds; parse: pattern, zone, text.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.text.*;
import java.util.*;

public class Oracle {
    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            if (line.isEmpty() || line.startsWith("#")) {
                out.println(line);
                continue;
            }
            String[] f = line.split("\t", -1);
            out.println(line + "\t" + judge(args[0], f));
        }
    }

    static String judge(String what, String[] f) {
        SimpleDateFormat d;
        try {
            d = new SimpleDateFormat(f[0], Locale.US);
        } catch (IllegalArgumentException e) {
            return "error";
        }
        d.setTimeZone(TimeZone.getTimeZone(f[1]));
        if (what.equals("format")) {
            return d.format(new Date(Long.parseLong(f[2])));
        }
        try {
            return String.valueOf(d.parse(f[2]).getTime());
        } catch (ParseException e) {
            return "none";
        }
    }
}
