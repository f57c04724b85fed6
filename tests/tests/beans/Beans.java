import java.lang.management.ManagementFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * Runs a standalone worker with the connectors whose JSON stands beside its properties, waits until the sink has read
 * and skipped what the properties say, and prints its MBeans: a line each with name, attribute and value, between tabs.
 */
public class Beans {
    private static final MBeanServer SERVER = ManagementFactory.getPlatformMBeanServer();

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (var file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        // Whatever logs to standard output must not stand between the lines.
        var out = System.out;
        System.setOut(System.err);
        Thread worker = new Thread(() -> org.apache.kafka.connect.cli.ConnectStandalone.main(arguments));
        worker.setDaemon(true);
        worker.start();
        String url = settings.getProperty("listeners");
        HttpClient client = HttpClient.newHttpClient();
        until("the worker", () -> answers(client, url));
        for (String name : List.of("in", "out")) {
            String json = Files.readString(Path.of(arguments[0]).resolveSibling(name + ".json"));
            var request = HttpRequest.newBuilder(URI.create(url + "/connectors/" + name + "/config"))
                .header("Content-Type", "application/json").PUT(HttpRequest.BodyPublishers.ofString(json)).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 201) {
                throw new IllegalStateException(answer.body());
            }
        }
        double read = Double.parseDouble(settings.getProperty("expected.read"));
        until("the sink", () -> number("sink-task-metrics", "out", "sink-record-read-total") >= read
            && number("sink-task-metrics", "out", "offset-commit-completion-total") >= 1
            && number("source-task-metrics", "in", "source-record-write-total") >= read);
        for (ObjectName name : SERVER.queryNames(new ObjectName("kafka.connect:*"), null)) {
            for (MBeanAttributeInfo attribute : SERVER.getMBeanInfo(name).getAttributes()) {
                Object value = SERVER.getAttribute(name, attribute.getName());
                out.println(name.getKeyPropertyListString() + "\t" + attribute.getName() + "\t" + value);
            }
        }
        out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static double number(String type, String connector, String attribute) throws Exception {
        var name = new ObjectName("kafka.connect:type=" + type + ",connector=" + connector + ",task=0");
        return SERVER.isRegistered(name) ? ((Number) SERVER.getAttribute(name, attribute)).doubleValue() : 0;
    }

    private static boolean answers(HttpClient client, String url) {
        try {
            var request = HttpRequest.newBuilder(URI.create(url + "/connectors")).build();
            return client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode() == 200;
        } catch (Exception e) {
            return false;
        }
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void until(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + 100_000_000_000L;
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("waited for " + what);
            }
            Thread.sleep(100);
        }
    }
}
