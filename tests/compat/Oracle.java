import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Asks Apache Kafka Connect's own transforms, predicates and converters: reads questions, one JSON object a line,
 * from the file of its first argument and prints the answers in the same order.
 */
public class Oracle {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    public static void main(String[] args) throws Exception {
        StringBuilder answers = new StringBuilder();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            answers.append(MAPPER.writeValueAsString(answer(MAPPER.readTree(line)))).append('\n');
        }
        System.out.write(answers.toString().getBytes("UTF-8"));
        System.out.flush();
    }

    private static ObjectNode answer(JsonNode question) {
        ObjectNode answer = NODES.objectNode();
        String[] stage = {"configure"};
        try {
            answer.set("ok", ask(question, stage));
        } catch (Throwable e) {
            answer.put("stage", stage[0]).put("class", e.getClass().getName()).put("message", e.getMessage());
        }
        return answer;
    }

    @SuppressWarnings({"rawtypes", "unchecked"})
    private static JsonNode ask(JsonNode question, String[] stage) throws Exception {
        Object plugin = Class.forName(question.get("class").textValue()).getDeclaredConstructor().newInstance();
        Map<String, Object> config = new HashMap<>();
        question.get("config").properties().forEach(e -> config.put(e.getKey(), e.getValue().textValue()));
        switch (question.get("do").textValue()) {
            case "transform":
                Transformation transform = (Transformation) plugin;
                transform.configure(config);
                stage[0] = "apply";
                ConnectRecord<?> changed = transform.apply(record(question.get("record")));
                return changed == null ? NODES.nullNode() : write(changed);
            case "test":
                Predicate predicate = (Predicate) plugin;
                predicate.configure(config);
                stage[0] = "apply";
                return NODES.booleanNode(predicate.test(record(question.get("record"))));
            case "serialize": {
                Converter converter = (Converter) plugin;
                converter.configure(config, false);
                stage[0] = "apply";
                Schema schema = schema(question.get("schema"));
                return bytes(converter.fromConnectData("topic", schema, value(question.get("value"))));
            }
            case "deserialize": {
                Converter converter = (Converter) plugin;
                converter.configure(config, false);
                stage[0] = "apply";
                return write(converter.toConnectData("topic", bytes(question.get("bytes"))));
            }
            case "serializeHeader": {
                HeaderConverter converter = (HeaderConverter) plugin;
                config.put("converter.type", "header");
                converter.configure(config);
                stage[0] = "apply";
                Schema schema = schema(question.get("schema"));
                return bytes(converter.fromConnectHeader("topic", "key", schema, value(question.get("value"))));
            }
            case "deserializeHeader": {
                HeaderConverter converter = (HeaderConverter) plugin;
                config.put("converter.type", "header");
                converter.configure(config);
                stage[0] = "apply";
                return write(converter.toConnectHeader("topic", "key", bytes(question.get("bytes"))));
            }
            default:
                throw new IllegalArgumentException("no such question: " + question);
        }
    }

    @SuppressWarnings("rawtypes")
    private static ConnectRecord record(JsonNode node) {
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : node.get("headers")) {
            Schema schema = schema(header.get("schema"));
            headers.add(header.get("key").textValue(), value(header.get("value")), schema);
        }
        String topic = node.get("topic").textValue();
        Integer partition = node.get("partition").isNull() ? null : node.get("partition").intValue();
        Long timestamp = node.get("timestamp").isNull() ? null : node.get("timestamp").longValue();
        Schema keySchema = schema(node.get("keySchema"));
        Schema valueSchema = schema(node.get("valueSchema"));
        Object key = value(node.get("key"));
        Object value = value(node.get("value"));
        if (node.get("offset").isNull()) {
            return new SourceRecord(Map.of(), Map.of(), topic, partition, keySchema, key, valueSchema, value, timestamp,
                headers);
        }
        return new SinkRecord(topic, partition == null ? 0 : partition, keySchema, key, valueSchema, value,
            node.get("offset").longValue(), timestamp, TimestampType.CREATE_TIME, headers);
    }

    private static ObjectNode write(ConnectRecord<?> record) {
        ObjectNode node = NODES.objectNode();
        node.put("topic", record.topic()).put("partition", record.kafkaPartition());
        node.put("timestamp", record.timestamp());
        node.set("keySchema", write(record.keySchema()));
        node.set("key", write(record.key()));
        node.set("valueSchema", write(record.valueSchema()));
        node.set("value", write(record.value()));
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode one = headers.addObject().put("key", header.key());
            one.set("schema", write(header.schema()));
            one.set("value", write(header.value()));
        }
        return node;
    }

    private static ObjectNode write(SchemaAndValue both) {
        ObjectNode node = NODES.objectNode();
        // A header that says null has neither, and is no object at all.
        node.set("schema", both == null ? NODES.nullNode() : write(both.schema()));
        node.set("value", both == null ? NODES.nullNode() : write(both.value()));
        return node;
    }

    // A schema is described with all of its attributes, as the constructor takes them: nothing is checked.
    private static Schema schema(JsonNode node) {
        if (node == null || node.isNull()) {
            return null;
        }
        Map<String, String> parameters = null;
        if (node.has("parameters")) {
            parameters = new LinkedHashMap<>();
            for (JsonNode pair : node.get("parameters")) {
                parameters.put(pair.get(0).textValue(), pair.get(1).textValue());
            }
        }
        List<Field> fields = null;
        if (node.has("fields")) {
            fields = new ArrayList<>();
            for (JsonNode pair : node.get("fields")) {
                fields.add(new Field(pair.get(0).textValue(), fields.size(), schema(pair.get(1))));
            }
        }
        return new ConnectSchema(
            Schema.Type.valueOf(node.get("type").textValue()),
            node.get("optional").booleanValue(),
            node.has("default") ? value(node.get("default")) : null,
            node.has("name") ? node.get("name").textValue() : null,
            node.has("version") ? node.get("version").intValue() : null,
            node.has("doc") ? node.get("doc").textValue() : null,
            parameters,
            fields == null ? List.of() : fields,
            schema(node.get("key")),
            schema(node.get("element")));
    }

    private static JsonNode write(Schema schema) {
        if (schema == null) {
            return NODES.nullNode();
        }
        ObjectNode node = NODES.objectNode();
        node.put("type", schema.type().name()).put("optional", schema.isOptional());
        if (schema.name() != null) node.put("name", schema.name());
        if (schema.version() != null) node.put("version", schema.version());
        if (schema.doc() != null) node.put("doc", schema.doc());
        if (schema.parameters() != null && !schema.parameters().isEmpty()) {
            ArrayNode parameters = node.putArray("parameters");
            schema.parameters().forEach((k, v) -> parameters.addArray().add(k).add(v));
        }
        if (schema.defaultValue() != null) node.set("default", write(schema.defaultValue()));
        switch (schema.type()) {
            case STRUCT:
                ArrayNode fields = node.putArray("fields");
                for (Field field : schema.fields()) {
                    fields.addArray().add(field.name()).add(write(field.schema()));
                }
                break;
            case MAP:
                if (schema.keySchema() != null) node.set("key", write(schema.keySchema()));
                if (schema.valueSchema() != null) node.set("element", write(schema.valueSchema()));
                break;
            case ARRAY:
                if (schema.valueSchema() != null) node.set("element", write(schema.valueSchema()));
                break;
            default:
        }
        return node;
    }

    private static Object value(JsonNode node) {
        if (node == null || node.isNull()) {
            return null;
        }
        Map.Entry<String, JsonNode> entry = node.properties().iterator().next();
        JsonNode of = entry.getValue();
        switch (entry.getKey()) {
            case "int8": return (byte) of.intValue();
            case "int16": return (short) of.intValue();
            case "int32": return of.intValue();
            case "int64": return Long.parseLong(of.textValue());
            case "float32": return Float.intBitsToFloat(of.intValue());
            case "float64": return Double.longBitsToDouble(Long.parseLong(of.textValue()));
            case "boolean": return of.booleanValue();
            case "string": return of.textValue();
            case "bytes": return Base64.getDecoder().decode(of.textValue());
            case "decimal": return new BigDecimal(new BigInteger(of.get(0).textValue()), of.get(1).intValue());
            case "date": return new Date(of.longValue());
            case "list": {
                List<Object> list = new ArrayList<>();
                of.forEach(item -> list.add(value(item)));
                return list;
            }
            case "map": {
                // In the order given, so that texts of maps can be compared.
                Map<Object, Object> map = new LinkedHashMap<>();
                of.forEach(pair -> map.put(value(pair.get(0)), value(pair.get(1))));
                return map;
            }
            case "struct": {
                Struct struct = new Struct(schema(of.get("schema")));
                int index = 0;
                for (Field field : struct.schema().fields()) {
                    Object value = value(of.get("values").get(index++));
                    if (value != null) struct.put(field, value);
                }
                return struct;
            }
            default: throw new IllegalArgumentException("no such value: " + node);
        }
    }

    private static JsonNode write(Object value) {
        ObjectNode node = NODES.objectNode();
        if (value == null) return NODES.nullNode();
        if (value instanceof Byte v) return node.put("int8", v.intValue());
        if (value instanceof Short v) return node.put("int16", v.intValue());
        if (value instanceof Integer v) return node.put("int32", v);
        if (value instanceof Long v) return node.put("int64", v.toString());
        if (value instanceof Float v) return node.put("float32", Float.floatToIntBits(v));
        if (value instanceof Double v) return node.put("float64", Long.toString(Double.doubleToLongBits(v)));
        if (value instanceof Boolean v) return node.put("boolean", v);
        if (value instanceof String v) return node.put("string", v);
        if (value instanceof byte[] v) return node.put("bytes", Base64.getEncoder().encodeToString(v));
        if (value instanceof ByteBuffer v) return node.put("bytes", Base64.getEncoder().encodeToString(v.array()));
        if (value instanceof Date v) return node.put("date", v.getTime());
        if (value instanceof BigDecimal v) {
            node.putArray("decimal").add(v.unscaledValue().toString()).add(v.scale());
            return node;
        }
        if (value instanceof List<?> v) {
            ArrayNode list = node.putArray("list");
            v.forEach(item -> list.add(write(item)));
            return node;
        }
        if (value instanceof Map<?, ?> v) {
            ArrayNode map = node.putArray("map");
            v.forEach((k, e) -> map.addArray().add(write(k)).add(write(e)));
            return node;
        }
        if (value instanceof Struct v) {
            ObjectNode struct = node.putObject("struct");
            struct.set("schema", write(v.schema()));
            ArrayNode values = struct.putArray("values");
            for (Field field : v.schema().fields()) {
                values.add(write(v.getWithoutDefault(field.name())));
            }
            return node;
        }
        return node.put("other", value.getClass().getName());
    }

    private static JsonNode bytes(byte[] bytes) {
        return bytes == null ? NODES.nullNode() : NODES.textNode(Base64.getEncoder().encodeToString(bytes));
    }

    private static byte[] bytes(JsonNode node) {
        return node.isNull() ? null : Base64.getDecoder().decode(node.textValue());
    }
}
