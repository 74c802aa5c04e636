import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.format.DateTimeParseException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import net.jpountz.xxhash.XXHash64;
import net.jpountz.xxhash.XXHashFactory;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The work of stepup's evaluate as a Kafka Streams job: activity events in, verification commands out.
 *
 * <p>State is the usual one of such a job: local stores, each change of which also goes to a changelog topic. It takes for
 * granted that all events of a customer come through one partition, and what it cannot read it counts and skips.
 *
 * <p>Standard output has a line a second, one at the first event and one at the last of {@code --events}:
 * {@code <milliseconds since 1970> <events processed> <commands> <events that could not be read>}. SIGTERM
 * stops it, and with {@code --leash stdin} so does the end of standard input.
 */
public final class StepupPeer {
    private static final String BETS = "bets";
    private static final String CLAIMS = "claims";

    public static void main(String[] args) throws Exception {
        Map<String, String> options = options(args);
        String input = required(options, "--input");
        String output = required(options, "--output");
        int partitions = Integer.parseInt(required(options, "--partitions"));
        boolean inMemory = switch (options.getOrDefault("--store", "rocksdb")) {
            case "rocksdb" -> false;
            case "memory" -> true;
            default -> throw new IllegalArgumentException("--store must be rocksdb or memory");
        };
        Properties settings = settings(options);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", required(options, "--brokers")))) {
            admin.createTopics(List.of(new NewTopic(output, Optional.of(partitions), Optional.empty()))).all().get();
        }

        Progress progress = new Progress(Long.parseLong(options.getOrDefault("--events", "-1")));
        KafkaStreams streams = new KafkaStreams(topology(input, output, inMemory, progress), settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                ended.countDown();
            }
        });
        if (options.containsKey("--leash")) {
            endWith(System.in);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        while (!ended.await(1, TimeUnit.SECONDS)) {
            progress.print();
        }
        if (streams.state() != KafkaStreams.State.NOT_RUNNING) {
            System.exit(1);
        }
    }

    /** Ends the job when whoever started it has ended, which closes the stream. */
    private static void endWith(InputStream leash) {
        Thread watch = new Thread(() -> {
            try (leash) {
                leash.transferTo(OutputStream.nullOutputStream());
            } catch (IOException cut) {
                System.err.println("the leash is cut: " + cut);
            }
            System.exit(1);
        });
        watch.setDaemon(true);
        watch.start();
    }

    private static Properties settings(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, required(options, "--application"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, required(options, "--brokers"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, required(options, "--state"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.getOrDefault("--threads", "2"));
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "134217728");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "4000");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), "100");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), "131072");
        return settings;
    }

    private static Topology topology(String input, String output, boolean inMemory, Progress progress) {
        return new Topology()
                .addSource("activity", new ByteArrayDeserializer(), new ByteArrayDeserializer(), input)
                .addProcessor("evaluate", () -> new Evaluate(progress), "activity")
                .addStateStore(store(BETS, inMemory), "evaluate")
                .addStateStore(store(CLAIMS, inMemory), "evaluate")
                .addSink("commands", output, new StringSerializer(), new ByteArraySerializer(), "evaluate");
    }

    private static StoreBuilder<KeyValueStore<String, byte[]>> store(String name, boolean inMemory) {
        KeyValueBytesStoreSupplier supplier =
                inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, Serdes.String(), Serdes.ByteArray()).withCachingEnabled();
    }

    private static Map<String, String> options(String[] args) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            options.put(args[i], args[i + 1]);
        }
        return options;
    }

    private static String required(Map<String, String> options, String name) {
        String value = options.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value;
    }

    /** What was done so far, told to whoever started the job. */
    private static final class Progress {
        private final long expected;
        private final AtomicLong events = new AtomicLong();
        private final AtomicLong commands = new AtomicLong();
        private final AtomicLong rejected = new AtomicLong();

        Progress(long expected) {
            this.expected = expected;
        }

        void processed() {
            long now = events.incrementAndGet();
            if (now == 1 || now == expected) {
                print();
            }
        }

        synchronized void print() {
            System.out.println(System.currentTimeMillis() + " " + events + " " + commands + " " + rejected);
        }
    }

    /** A tenant's preferences; the threshold or count of a trigger that is absent is never asked for. */
    private record Preferences(Set<String> enabled, BigDecimal largeBet, BigDecimal withdrawal, int count, long width) {
        static Preferences usual() {
            return new Preferences(
                    Set.of("high_frequency_betting", "large_bet_placement", "withdrawal", "password_change",
                            "new_device_or_location"),
                    new BigDecimal(500), new BigDecimal(2000), 10, Duration.ofMinutes(5).toMillis());
        }

        boolean reaches(String trigger, BigDecimal amount) {
            return switch (trigger) {
                case "large_bet_placement" -> amount.compareTo(largeBet) >= 0;
                case "withdrawal" -> amount.compareTo(withdrawal) >= 0;
                default -> true;
            };
        }
    }

    /** Decides over the events of one task's customers. */
    private static final class Evaluate extends ContextualProcessor<byte[], byte[], String, byte[]> {
        private static final Duration IDLE_SWEEP = Duration.ofMinutes(10);
        private static final long LATENESS = Duration.ofMinutes(5).toMillis();
        private static final long MAX_AGE = Duration.ofMinutes(15).toMillis();
        private static final long MAX_SKEW = Duration.ofMinutes(5).toMillis();
        private static final long COOLDOWN = Duration.ofMinutes(10).toMillis();
        private static final long CLAIM_RETENTION = Duration.ofHours(1).toMillis();
        private static final int MAX_ENTRIES = 256;

        private final Progress progress;
        private final Map<String, Preferences> preferences = new HashMap<>();
        private KeyValueStore<String, byte[]> bets;
        private KeyValueStore<String, byte[]> claims;

        Evaluate(Progress progress) {
            this.progress = progress;
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            super.init(context);
            bets = context.getStateStore(BETS);
            claims = context.getStateStore(CLAIMS);
            context.schedule(IDLE_SWEEP, PunctuationType.WALL_CLOCK_TIME, now -> {
                dropIdle(bets, now - Duration.ofDays(1).toMillis());
                dropIdle(claims, now - CLAIM_RETENTION);
            });
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            try {
                evaluate(Event.parse(record.value()), record.timestamp());
            } catch (IOException | IllegalArgumentException | DateTimeParseException error) {
                progress.rejected.incrementAndGet();
            }
            progress.processed();
        }

        private void evaluate(Event event, long timestamp) throws IOException {
            long now = context().currentSystemTimeMs();
            if (event.at - now > MAX_SKEW) {
                throw new IllegalArgumentException("the event is ahead of the clock");
            }
            Preferences tenant = preferences.computeIfAbsent(event.tenant, name -> Preferences.usual());
            if (event.type.equals("bet")) {
                if (tenant.enabled.contains("large_bet_placement")) {
                    decide(event, "large_bet_placement", tenant.reaches("large_bet_placement", event.amount), 0, now, timestamp);
                }
                if (tenant.enabled.contains("high_frequency_betting")) {
                    int count = record(event, tenant);
                    decide(event, "high_frequency_betting", count >= tenant.count, count, now, timestamp);
                }
            } else if (tenant.enabled.contains(event.type)) {
                decide(event, event.type, tenant.reaches(event.type, event.amount), 0, now, timestamp);
            }
        }

        /** Takes a bet into its customer's log, and gives the most bets of any window that holds it. */
        private int record(Event event, Preferences tenant) {
            byte[] log = bets.get(event.customerKey);
            int known = Log.find(log, event.idHash);
            if (known >= 0) {
                // A repeat is judged as of its first arrival.
                return Log.fullest(log, known + 1, Log.at(log, known), tenant.width);
            }
            byte[] longer = Log.append(log, event.at, event.idHash);
            byte[] kept = Log.prune(longer, Log.newest(longer) - tenant.width - LATENESS, Math.max(MAX_ENTRIES, tenant.count));
            bets.put(event.customerKey, kept);
            // One that comes later than anything that is kept counts with what is kept.
            byte[] judged = Log.find(kept, event.idHash) >= 0 ? kept : Log.append(kept, event.at, event.idHash);
            return Log.fullest(judged, Log.size(judged), event.at, tenant.width);
        }

        private void decide(Event event, String trigger, boolean reached, int count, long now, long timestamp) throws IOException {
            if (!reached) {
                return;
            }
            boolean cools = !trigger.equals("withdrawal");
            String key = event.customerKey + "/" + trigger;
            byte[] taken = cools ? claims.get(key) : null;
            boolean held = Log.find(taken, event.idHash) >= 0;
            if (!held) {
                if (now - event.at > MAX_AGE) {
                    return;
                }
                if (taken != null && event.at < Log.at(taken, Log.size(taken) - 1) + COOLDOWN) {
                    return;
                }
                if (cools) {
                    byte[] longer = Log.append(taken, event.at, event.idHash);
                    claims.put(key, Log.prune(longer, event.at - CLAIM_RETENTION, MAX_ENTRIES));
                }
            }
            progress.commands.incrementAndGet();
            RecordMetadata source = context().recordMetadata().orElseThrow();
            context().forward(new Record<>(event.customerKey, Command.encode(event, trigger, count, now, source), timestamp));
        }

        /** Forgets customers of whom nothing is left that could count. */
        private static void dropIdle(KeyValueStore<String, byte[]> store, long before) {
            try (KeyValueIterator<String, byte[]> all = store.all()) {
                all.forEachRemaining(entry -> {
                    if (Log.newest(entry.value) < before) {
                        store.delete(entry.key);
                    }
                });
            }
        }
    }

    /** A log in order of arrival, as it is stored: 8 bytes of time and 8 of an id's hash for each entry; null is an empty one. */
    private static final class Log {
        private static final int BYTES = 16;
        private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

        static int size(byte[] log) {
            return log == null ? 0 : log.length / BYTES;
        }

        static long at(byte[] log, int place) {
            return (long) LONG.get(log, place * BYTES);
        }

        static int find(byte[] log, long id) {
            for (int place = size(log) - 1; place >= 0; place--) {
                if ((long) LONG.get(log, place * BYTES + 8) == id) {
                    return place;
                }
            }
            return -1;
        }

        static long newest(byte[] log) {
            long newest = Long.MIN_VALUE;
            for (int place = 0; place < size(log); place++) {
                newest = Math.max(newest, at(log, place));
            }
            return newest;
        }

        static byte[] append(byte[] log, long at, long id) {
            int length = size(log) * BYTES;
            byte[] longer = log == null ? new byte[BYTES] : Arrays.copyOf(log, length + BYTES);
            LONG.set(longer, length, at);
            LONG.set(longer, length + 8, id);
            return longer;
        }

        /** Drops what is no newer than {@code oldest}, and then the oldest ones beyond {@code most}. */
        static byte[] prune(byte[] log, long oldest, int most) {
            int size = size(log);
            int kept = 0;
            byte[] rest = log;
            for (int place = 0; place < size; place++) {
                if (at(log, place) > oldest) {
                    if (rest != log) {
                        System.arraycopy(log, place * BYTES, rest, kept * BYTES, BYTES);
                    }
                    kept++;
                } else if (rest == log) {
                    rest = Arrays.copyOf(log, log.length);
                    kept = place;
                }
            }
            while (kept > most) {
                int first = 0;
                for (int place = 1; place < kept; place++) {
                    if (at(rest, place) < at(rest, first)) {
                        first = place;
                    }
                }
                kept--;
                System.arraycopy(rest, (first + 1) * BYTES, rest, first * BYTES, (kept - first) * BYTES);
            }
            return kept == size ? log : Arrays.copyOf(rest, kept * BYTES);
        }

        /** The most entries of the first {@code size} in any (e - width, e] with at <= e < at + width. */
        static int fullest(byte[] log, int size, long at, long width) {
            int count = 0;
            boolean newer = false;
            for (int place = 0; place < size; place++) {
                long other = at(log, place);
                if (other > at - width && other <= at) {
                    count++;
                }
                newer |= other > at && other < at + width;
            }
            return newer ? slide(log, size, at, width) : count;
        }

        private static int slide(byte[] log, int size, long at, long width) {
            long[] times = new long[size];
            for (int place = 0; place < size; place++) {
                times[place] = at(log, place);
            }
            Arrays.sort(times);
            int most = 0;
            int start = 0;
            for (int end = 0; end < size && times[end] < at + width; end++) {
                while (times[start] <= times[end] - width) {
                    start++;
                }
                if (times[end] >= at) {
                    most = Math.max(most, end - start + 1);
                }
            }
            return most;
        }
    }

    /** One activity event. */
    private static final class Event {
        private static final JsonFactory JSON = new JsonFactory();
        private static final XXHash64 HASH = XXHashFactory.fastestJavaInstance().hash64();
        private static final Set<String> AMOUNT_NEEDED = Set.of("bet", "deposit", "withdrawal");

        private static final String USUAL_TIME = "0000-00-00T00:00:00.000Z";

        String id;
        String tenant;
        String customer;
        String type;
        String occurredAt;
        BigDecimal amount;
        String currency = "USD";
        String customerKey;
        long idHash;
        long at;

        static Event parse(byte[] payload) throws IOException {
            Event event = new Event();
            try (JsonParser json = JSON.createParser(payload)) {
                if (json.nextToken() != JsonToken.START_OBJECT) {
                    throw new IllegalArgumentException("no object");
                }
                for (String field = json.nextFieldName(); field != null; field = json.nextFieldName()) {
                    json.nextToken();
                    event.take(field, json);
                }
            }
            event.check();
            return event;
        }

        private void take(String field, JsonParser json) throws IOException {
            switch (field) {
                case "id" -> id = text(json);
                case "tenant_id" -> tenant = text(json);
                case "customer_id" -> customer = text(json);
                case "type" -> type = text(json);
                case "occurred_at" -> occurredAt = text(json);
                case "currency" -> currency = json.currentToken() == JsonToken.VALUE_NULL ? "USD" : text(json);
                case "amount" -> {
                    if (json.currentToken() != JsonToken.VALUE_NULL) {
                        amount = new BigDecimal(json.getTextCharacters(), json.getTextOffset(), json.getTextLength());
                    }
                }
                default -> json.skipChildren();
            }
        }

        /** Reads the usual form, {@code 2026-01-31T12:34:56.789Z}, and leaves others to the library, which is slow. */
        private static long milliseconds(String time) {
            if (!isUsual(time)) {
                return OffsetDateTime.parse(time).toInstant().toEpochMilli();
            }
            LocalDate day = LocalDate.of(number(time, 0, 4), number(time, 5, 7), number(time, 8, 10));
            LocalTime hour = LocalTime.of(number(time, 11, 13), number(time, 14, 16), number(time, 17, 19));
            return (day.toEpochDay() * 86_400 + hour.toSecondOfDay()) * 1_000 + number(time, 20, 23);
        }

        private static boolean isUsual(String time) {
            if (time.length() != USUAL_TIME.length()) {
                return false;
            }
            for (int i = 0; i < USUAL_TIME.length(); i++) {
                char wanted = USUAL_TIME.charAt(i);
                char is = time.charAt(i);
                if (wanted == '0' ? is < '0' || is > '9' : is != wanted) {
                    return false;
                }
            }
            return true;
        }

        private static int number(String text, int from, int to) {
            return Integer.parseInt(text, from, to, 10);
        }

        private static String text(JsonParser json) throws IOException {
            if (json.currentToken() != JsonToken.VALUE_STRING) {
                throw new IllegalArgumentException("no text");
            }
            return json.getText();
        }

        private void check() {
            if (id == null || tenant == null || customer == null || type == null || occurredAt == null) {
                throw new IllegalArgumentException("a field is missing");
            }
            if (AMOUNT_NEEDED.contains(type) && (amount == null || amount.signum() < 0)) {
                throw new IllegalArgumentException("no amount");
            }
            if (!currency.equals("USD")) {
                throw new IllegalArgumentException("no rate");
            }
            at = milliseconds(occurredAt);
            byte[] bytes = id.getBytes(StandardCharsets.UTF_8);
            idHash = HASH.hash(bytes, 0, bytes.length, 0);
            customerKey = tenant + "/" + customer;
        }
    }

    /** A verification command, in stepup's format. */
    private static final class Command {
        private static final UUID NAMESPACE = UUID.fromString("6d1c2f0e-93b4-4a7e-8a57-0c1fd2b94e65");
        private static final long MAX_AGE_MINUTES = 10;

        static byte[] encode(Event event, String trigger, int count, long now, RecordMetadata source) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream(768);
            Instant issued = Instant.ofEpochMilli(now);
            String id = id(event.tenant, trigger, event.id).toString();
            try (JsonGenerator json = Event.JSON.createGenerator(bytes)) {
                json.writeStartObject();
                json.writeNumberField("version", 1);
                json.writeStringField("id", id);
                json.writeStringField("tenant_id", event.tenant);
                json.writeStringField("customer_id", event.customer);
                json.writeStringField("event", trigger);
                json.writeStringField("reference", id);
                if (trigger.equals("high_frequency_betting")) {
                    json.writeNumberField("event_count", count);
                    json.writeNumberField("event_window_minutes", 5);
                } else if (event.amount != null) {
                    json.writeStringField("amount", event.amount.toPlainString());
                }
                json.writeObjectFieldStart("cause");
                json.writeStringField("event_id", event.id);
                json.writeStringField("type", event.type);
                json.writeStringField("occurred_at", event.occurredAt);
                json.writeStringField("topic", source.topic());
                json.writeNumberField("partition", source.partition());
                json.writeNumberField("offset", source.offset());
                json.writeEndObject();
                json.writeStringField("issued_at", issued.toString());
                json.writeStringField("expires_at", issued.plus(Duration.ofMinutes(MAX_AGE_MINUTES)).toString());
                json.writeEndObject();
            }
            return bytes.toByteArray();
        }

        /** UUID version 5 over tenant, trigger and event: the same event always gives the same id. */
        private static UUID id(String tenant, String trigger, String event) {
            try {
                MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
                sha1.update(ByteBuffer.allocate(16).putLong(NAMESPACE.getMostSignificantBits())
                        .putLong(NAMESPACE.getLeastSignificantBits()).flip());
                sha1.update((tenant + "\0" + trigger + "\0" + event).getBytes(StandardCharsets.UTF_8));
                ByteBuffer hash = ByteBuffer.wrap(sha1.digest());
                long high = hash.getLong() & ~0xf000L | 0x5000L;
                long low = hash.getLong() & ~(0b11L << 62) | 0b10L << 62;
                return new UUID(high, low);
            } catch (NoSuchAlgorithmException impossible) {
                throw new IllegalStateException(impossible);
            }
        }
    }
}
