// SQL of mails: see mail_store.h.
#include "center/mail_store.h"

#include "center/sql.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

std::string join_lines(const std::vector<std::string>& list) {
    std::string text;
    for (const auto& each : list) text += (text.empty() ? "" : "\n") + each;
    return text;
}

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> list;
    while (!text.empty()) {
        const auto end = text.find('\n');
        list.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return list;
}

std::vector<QueuedMail> select_mails(soci::session& sql, const std::string& rest, const std::string* text, const long long* number) {
    std::vector<QueuedMail> found;
    QueuedMail row;
    std::string recipients, delivered;
    long long id = 0, created = 0, next = 0, attempts = 0;
    soci::statement statement(sql);
    statement.exchange(soci::into(id));
    statement.exchange(soci::into(row.unique_key));
    statement.exchange(soci::into(recipients));
    statement.exchange(soci::into(delivered));
    statement.exchange(soci::into(row.subject));
    statement.exchange(soci::into(row.body));
    statement.exchange(soci::into(row.message_id));
    statement.exchange(soci::into(row.state));
    statement.exchange(soci::into(row.last_error));
    statement.exchange(soci::into(created));
    statement.exchange(soci::into(next));
    statement.exchange(soci::into(attempts));
    if (text != nullptr) statement.exchange(soci::use(*text));
    if (number != nullptr) statement.exchange(soci::use(*number));
    statement.alloc();
    statement.prepare(
        "SELECT id, unique_key, recipients, delivered, subject, body, message_id, state, last_error, created_at, next_attempt_at, attempts "
        "FROM mails " +
        rest);
    statement.define_and_bind();
    statement.execute();
    while (statement.fetch()) {
        row.id = id;
        row.recipients = split_lines(recipients);
        row.delivered = split_lines(delivered);
        row.created_at = from_db(created);
        row.next_attempt_at = from_db(next);
        row.attempts = attempts;
        found.push_back(row);
    }
    return found;
}

// The "notify" list of a document that the query yields.
std::vector<std::string> notify_of(const std::string& document) {
    std::vector<std::string> list;
    const auto parsed = json::parse(document);
    if (!parsed || !parsed->IsObject()) return list;
    const auto notify = parsed->FindMember("notify");
    if (notify == parsed->MemberEnd() || !notify->value.IsArray()) return list;
    for (const auto& each : notify->value.GetArray()) {
        if (each.IsString()) list.emplace_back(each.GetString(), each.GetStringLength());
    }
    return list;
}

}  // namespace

bool queue_mail(soci::session& sql, const NewMail& mail, Instant now) {
    const std::string recipients = join_lines(mail.recipients);
    const long long at = to_db(now);
    soci::statement statement =
        (sql.prepare << "INSERT INTO mails (unique_key, recipients, subject, body, created_at, state, next_attempt_at, message_id) VALUES "
                        "(:key, :recipients, :subject, :body, :created, 'waiting', :next, :message_id) ON CONFLICT (unique_key) DO NOTHING",
         soci::use(mail.unique_key), soci::use(recipients), soci::use(mail.subject), soci::use(mail.body), soci::use(at), soci::use(at),
         soci::use(mail.message_id));
    statement.execute(true);
    return statement.get_affected_rows() > 0;
}

std::vector<QueuedMail> due_mails(soci::session& sql, Instant now, std::size_t limit) {
    const long long at = to_db(now);
    return select_mails(
        sql, fmt::format("WHERE state = 'waiting' AND next_attempt_at <= :now ORDER BY next_attempt_at, id LIMIT {}", limit), nullptr, &at);
}

std::optional<QueuedMail> find_mail(soci::session& sql, std::string_view unique_key) {
    const std::string key(unique_key);
    auto found = select_mails(sql, "WHERE unique_key = :key", &key, nullptr);
    return found.empty() ? std::nullopt : std::optional<QueuedMail>(std::move(found.front()));
}

std::optional<Instant> next_mail_due(soci::session& sql) {
    long long at = 0;
    soci::indicator present = soci::i_null;
    sql << "SELECT min(next_attempt_at) FROM mails WHERE state = 'waiting'", soci::into(at, present);
    return present == soci::i_ok ? std::optional<Instant>(from_db(at)) : std::nullopt;
}

void update_mail(soci::session& sql, const QueuedMail& mail) {
    const std::string delivered = join_lines(mail.delivered);
    const long long id = mail.id, attempts = mail.attempts, next = to_db(mail.next_attempt_at);
    sql << "UPDATE mails SET state = :state, delivered = :delivered, attempts = :attempts, next_attempt_at = :next, last_error = :error "
           "WHERE id = :id",
        soci::use(mail.state), soci::use(delivered), soci::use(attempts), soci::use(next), soci::use(mail.last_error), soci::use(id);
}

long long count_waiting_mails(soci::session& sql) {
    long long count = 0;
    sql << "SELECT count(*) FROM mails WHERE state = 'waiting'", soci::into(count);
    return count;
}

std::vector<std::string> find_recipients(soci::session& sql, std::string_view task_id, std::string_view runtime, std::string_view group) {
    const std::string task(task_id), runtime_name(runtime), group_name(group);
    std::string document;
    sql << "SELECT document FROM task_versions WHERE task_id = :task ORDER BY version DESC LIMIT 1", soci::use(task), soci::into(document);
    if (sql.got_data()) {
        if (auto list = notify_of(document); !list.empty()) return list;
    }
    sql << "SELECT document FROM task_groups WHERE runtime = :runtime AND name = :name", soci::use(runtime_name), soci::use(group_name),
        soci::into(document);
    if (sql.got_data()) {
        if (auto list = notify_of(document); !list.empty()) return list;
    }
    sql << "SELECT document FROM runtimes WHERE name = :name", soci::use(runtime_name), soci::into(document);
    return sql.got_data() ? notify_of(document) : std::vector<std::string>{};
}

}  // namespace cloudtask::center
