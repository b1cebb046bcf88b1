#include "raylet/control/redis_control_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kBatchMax = 64;
constexpr size_t kReadAtOnce = 64;   // cells read at once for a list
constexpr size_t kSweptAtOnce = 64;  // names swept at once whose cells have run out
constexpr const char* kScanCount = "1000";

std::string RedisKey(const std::string& cell) { return StrCat("raylet:", cell); }
std::string IndexKey(std::string_view kind) { return StrCat("raylet:index:", kind); }

// Escapes the characters that a MATCH of SSCAN would take for wildcards.
std::string AsPattern(const std::string& prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^' || c == '-') pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern + "*";
}

// Redis is there but cannot serve now, or not through this connection. The calls wait for another
// connection.
bool IsForNow(const std::string& text) {
  for (const char* const word : {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOAUTH"})
    if (text.starts_with(word)) return true;
  return false;
}

}  // namespace

struct RedisControlStore::Call {
  CallId id = 0;
  Timer deadline;
  std::function<void(Error)> refused;
  std::function<void(Call&)> begin;  // for reads and lists
  uint64_t connection = 0;           // the connection that it was begun on
  // For changes.
  Cell cell;
  CellRule rule;
  Done<Changed> done;
  std::optional<CellChange> change;  // what the batch under way writes
  bool existed = false;
};

struct RedisControlStore::Listing {
  std::string_view kind;
  std::string prefix;
  Pick pick;
  Done<std::vector<std::string>> done;
  std::string cursor = "0";
  std::set<std::string> names;
  std::vector<std::string> left;  // names whose cells are not read yet
  std::vector<std::string> picked;
  size_t swept = 0;
};

RedisControlStore::RedisControlStore(Loop& loop, const ControlAddress& address, RedisConnectionOptions options)
    : loop_(loop),
      shown_(address.Shown()),
      connection_(loop, address, options, static_cast<RedisConnection::Handler&>(*this)),
      batch_max_(kBatchMax) {
  connection_.Start();
}

RedisControlStore::~RedisControlStore() { *alive_ = false; }

ControlStore::State RedisControlStore::state() const {
  State state;
  state.address = shown_;
  state.connected = connection_.up();
  if (!state.connected) state.problem = connection_.problem().message;
  state.connection = connection_.number();
  state.waiting = calls_.size();
  state.calls = next_call_ - 1;
  state.timed_out = timed_out_;
  return state;
}

void RedisControlStore::Later(std::function<void()> work) {
  loop_.Post([work = std::move(work), alive = alive_] {
    if (*alive) work();
  });
}

// Calls

Error RedisControlStore::NotInTime() const {
  if (!connection_.up() && connection_.problem().code == ErrorCode::kNotAllowed) return connection_.problem();
  return {ErrorCode::kUnavailable, StrCat("the control store at ", shown_, " did not answer in time (",
                                          connection_.up() ? "it is slow" : connection_.problem().message,
                                          "); the call may or may not have taken effect. Local work goes on")};
}

RedisControlStore::Call* RedisControlStore::Open(Deadline deadline, std::function<void(Error)> refused) {
  if (calls_.size() >= kControlCallsMax) {
    Later([refused = std::move(refused)] {
      refused({ErrorCode::kFull, StrCat(kControlCallsMax, " calls wait for the control store, which is the limit")});
    });
    return nullptr;
  }
  const CallId id = next_call_++;
  Call& call = *calls_.emplace(id, std::make_unique<Call>()).first->second;
  call.id = id;
  call.refused = std::move(refused);
  if (!deadline.IsNever()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.Left(std::chrono::hours(24)));
    call.deadline = Timer(loop_, left, {}, [this, id] {
      ++timed_out_;
      End(id, NotInTime());
    });
  }
  return &call;
}

std::unique_ptr<RedisControlStore::Call> RedisControlStore::Close(CallId id) {
  auto node = calls_.extract(id);
  return node ? std::move(node.mapped()) : nullptr;
}

void RedisControlStore::End(CallId id, Error why) {
  if (const auto call = Close(id)) call->refused(std::move(why));
}

void RedisControlStore::Begin(Call& call) {
  if (!connection_.up()) return;  // OnUp starts it
  call.connection = connection_.number();
  call.begin(call);
}

void RedisControlStore::OnUp() {
  RAYLET_LOG(kInfo, "control store: connected to ", shown_);
  std::vector<CallId> waiting;
  for (const auto& [id, call] : calls_)
    if (call->begin) waiting.push_back(id);
  for (const CallId id : waiting) {
    if (!connection_.up()) return;
    const auto found = calls_.find(id);
    if (found != calls_.end()) Begin(*found->second);
  }
  Pump();
}

void RedisControlStore::OnDown() {
  RAYLET_LOG(kWarning, "control store: ", connection_.problem().message, "; trying again, and local work goes on");
}

void RedisControlStore::OnRefused() {
  std::vector<CallId> waiting;
  for (const auto& each : calls_) waiting.push_back(each.first);
  const Error why = connection_.problem();
  for (const CallId id : waiting) End(id, why);
}

Error RedisControlStore::Refusal(const std::string& text) {
  if (text.find("NOPERM") != std::string::npos)  // EXEC puts it behind a word of its own
    return {ErrorCode::kNotAllowed, StrCat("Redis does not allow its raylet user what raylets need: ", text,
                                           "; see raylet/control/redis.conf for the commands")};
  if (text.starts_with("OOM"))
    return {ErrorCode::kFull, StrCat("Redis is full: ", text, "; raise its maxmemory, or delete keys")};
  return {ErrorCode::kIo, StrCat("Redis refuses: ", text)};
}

bool RedisControlStore::Serves(const RedisReply& reply) {
  if (!reply.IsError() || !IsForNow(reply.text)) return true;
  connection_.Break({ErrorCode::kUnavailable, StrCat("Redis at ", shown_, " cannot serve now: ", reply.text)});
  return false;
}

void RedisControlStore::Ask(Call& call, const std::vector<std::string>& words, Answer answer) {
  if (!connection_.up()) return;
  const uint64_t connection = connection_.number();
  connection_.Command(words, [this, connection, id = call.id, answer = std::move(answer)](Result<RedisReply> reply) {
    if (!reply || !Serves(*reply)) return;  // begins again when Redis is back
    const auto found = calls_.find(id);
    if (found == calls_.end() || found->second->connection != connection) return;
    if (reply->IsError()) return End(id, Refusal(reply->text));
    answer(*found->second, std::move(*reply));
  });
}

// Reads

void RedisControlStore::Read(Cell cell, Deadline deadline, Done<CellText> done) {
  Call* const call = Open(deadline, [done](Error why) { done(Fail(std::move(why))); });
  if (call == nullptr) return;
  const std::vector<std::string> words{"GET", RedisKey(cell.Key())};
  call->begin = [this, words, done = std::move(done)](Call& begun) {
    Ask(begun, words, [this, done](Call& answered, RedisReply reply) {
      Close(answered.id);
      if (reply.IsText()) return done(std::move(reply.text));
      if (reply.kind == RedisReply::Kind::kNil) return done(std::nullopt);
      done(Fail(ErrorCode::kProtocolError, "Redis answers GET with neither a text nor nil"));
    });
  };
  Begin(*call);
}

void RedisControlStore::List(std::string_view kind, std::string prefix, Pick pick, Deadline deadline,
                             Done<std::vector<std::string>> done) {
  Call* const call = Open(deadline, [done](Error why) { done(Fail(std::move(why))); });
  if (call == nullptr) return;
  call->begin = [=, this](Call& begun) {
    const auto listing = std::make_shared<Listing>();
    listing->kind = kind;
    listing->prefix = prefix;
    listing->pick = pick;
    listing->done = done;
    Scan(begun, listing);
  };
  Begin(*call);
}

// Reads all names first, then their cells, because a set may change while it is read.
void RedisControlStore::Scan(Call& call, const std::shared_ptr<Listing>& listing) {
  const std::vector<std::string> words{
      "SSCAN", IndexKey(listing->kind), listing->cursor, "MATCH", AsPattern(listing->prefix), "COUNT", kScanCount};
  Ask(call, words, [this, listing](Call& answered, RedisReply reply) {
    if (!reply.IsList(2) || !reply.list[0].IsText() || reply.list[1].kind != RedisReply::Kind::kList)
      return End(answered.id, {ErrorCode::kProtocolError, "Redis answers SSCAN with no cursor and list"});
    for (RedisReply& name : reply.list[1].list)
      if (name.IsText() && name.text.starts_with(listing->prefix)) listing->names.insert(std::move(name.text));
    if (listing->names.size() > 2 * kControlListMax)
      return End(answered.id, TooManyListed(StrCat(listing->kind, ":"), listing->prefix));
    listing->cursor = reply.list[0].text;
    if (listing->cursor != "0") return Scan(answered, listing);
    listing->left.assign(listing->names.rbegin(), listing->names.rend());
    Collect(answered, listing);
  });
}

void RedisControlStore::Collect(Call& call, const std::shared_ptr<Listing>& listing) {
  if (listing->left.empty()) {
    Close(call.id);
    return listing->done(std::move(listing->picked));
  }
  std::vector<std::string> words{"MGET"};
  std::vector<std::string> names;
  while (!listing->left.empty() && names.size() < kReadAtOnce) {
    names.push_back(std::move(listing->left.back()));
    listing->left.pop_back();
    words.push_back(RedisKey(StrCat(listing->kind, ":", names.back())));
  }
  Ask(call, words, [this, listing, names = std::move(names)](Call& answered, RedisReply reply) {
    if (!reply.IsList(names.size()))
      return End(answered.id, {ErrorCode::kProtocolError, "Redis answers MGET with another number of values"});
    for (size_t i = 0; i < names.size(); ++i) {
      if (reply.list[i].IsText()) {
        if (auto picked = listing->pick(names[i], reply.list[i].text)) listing->picked.push_back(std::move(*picked));
      } else if (++listing->swept <= kSweptAtOnce) {
        // Keeps the name if its cell has come back by then.
        const auto sweep = [](const CellText& now) -> Result<CellChange> {
          return CellChange{now ? CellChange::Kind::kKeep : CellChange::Kind::kErase, {}, {}};
        };
        Change({listing->kind, names[i], true}, sweep, Deadline::After(std::chrono::seconds(10)), [](const auto&) {});
      }
    }
    if (listing->picked.size() > kControlListMax)
      return End(answered.id, TooManyListed(StrCat(listing->kind, ":"), listing->prefix));
    Collect(answered, listing);
  });
}

// Changes

void RedisControlStore::Change(Cell cell, CellRule rule, Deadline deadline, Done<Changed> done) {
  Call* const call = Open(deadline, [done](Error why) { done(Fail(std::move(why))); });
  if (call == nullptr) return;
  call->cell = std::move(cell);
  call->rule = std::move(rule);
  call->done = std::move(done);
  // While Redis is away, calls whose deadline has passed must not pile up.
  if (changes_.size() > 2 * calls_.size() + 1024)
    std::erase_if(changes_, [this](CallId id) { return !calls_.contains(id); });
  changes_.push_back(call->id);
  // Joins the other calls of this turn of the loop.
  if (changes_.size() == 1) Later([this] { Pump(); });
}

void RedisControlStore::Pump() {
  if (batch_under_way_ || !connection_.up()) return;
  std::vector<CallId> batch;
  std::set<std::string> keys;
  while (!changes_.empty() && batch.size() < batch_max_) {
    const auto found = calls_.find(changes_.front());
    if (found != calls_.end()) {
      // Two changes of one cell go one after the other.
      if (!keys.insert(RedisKey(found->second->cell.Key())).second) break;
      batch.push_back(found->first);
    }
    changes_.pop_front();
  }
  if (batch.empty()) return;
  batch_under_way_ = true;
  std::vector<std::string> watch{"WATCH"}, read{"MGET"};
  for (const CallId id : batch) {
    watch.push_back(RedisKey(calls_.at(id)->cell.Key()));
    read.push_back(watch.back());
  }
  connection_.Command(watch, [this](Result<RedisReply> reply) {
    if (reply && Serves(*reply) && reply->IsError())
      connection_.Break({ErrorCode::kUnavailable, StrCat("Redis does not watch: ", reply->text)});
  });
  connection_.Command(read, [this, batch](Result<RedisReply> reply) {
    if (reply && Serves(*reply)) return TookStock(batch, std::move(*reply));
    changes_.insert(changes_.begin(), batch.begin(), batch.end());
    BatchDone();
  });
}

// The content of the cells is known. Now the rules say what to write.
void RedisControlStore::TookStock(const std::vector<CallId>& batch, RedisReply values) {
  if (!values.IsList(batch.size())) {
    const Error why = values.IsError()
                          ? Refusal(values.text)
                          : Error{ErrorCode::kProtocolError, "Redis answers MGET with another number of values"};
    for (const CallId id : batch) End(id, why);
    if (connection_.up()) connection_.Command({"UNWATCH"}, [](const auto&) {});
    return BatchDone();
  }
  std::vector<CallId> writes;
  std::vector<std::vector<std::string>> commands;
  // Callbacks, called once the batch is on its way, since they may ask for more.
  std::vector<std::function<void()>> ends;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto found = calls_.find(batch[i]);
    if (found == calls_.end()) continue;  // the call's deadline has passed
    Call& call = *found->second;
    CellText now;
    if (values.list[i].IsText()) now = std::move(values.list[i].text);
    call.existed = now.has_value();
    auto change = call.rule(now);
    if (!change || change->kind == CellChange::Kind::kKeep) {
      ends.push_back([this, id = call.id, change = std::move(change)] {
        const auto ended = Close(id);
        if (!ended) return;
        if (!change) return ended->refused(change.error());
        ended->done(Changed{ended->existed, connection_.number()});
      });
      continue;
    }
    const std::string key = RedisKey(call.cell.Key());
    const bool write = change->kind == CellChange::Kind::kWrite;
    commands.push_back(write ? std::vector<std::string>{"SET", key, change->value}
                             : std::vector<std::string>{"DEL", key});
    if (write && change->expiry > Duration::zero())
      for (std::string word : {std::string("PX"), std::to_string(change->expiry / std::chrono::milliseconds(1))})
        commands.back().push_back(std::move(word));
    if (call.cell.listed) commands.push_back({write ? "SADD" : "SREM", IndexKey(call.cell.kind), call.cell.name});
    writes.push_back(call.id);
  }
  if (writes.empty()) {
    connection_.Command({"UNWATCH"}, [](const auto&) {});
    BatchDone();
  } else {
    const auto refused = std::make_shared<std::optional<std::string>>();
    const auto queued = [refused](Result<RedisReply> reply) {
      if (reply && reply->IsError() && !*refused) *refused = reply->text;
    };
    connection_.Command({"MULTI"}, queued);
    for (const auto& command : commands) connection_.Command(command, queued);
    connection_.Command({"EXEC"}, [this, writes, refused](Result<RedisReply> reply) {
      // EXEC itself says only that it refused a command.
      if (reply && reply->IsError() && *refused) reply->text = **refused;
      if (reply && Serves(*reply)) return Executed(writes, std::move(*reply));
      changes_.insert(changes_.begin(), writes.begin(), writes.end());
      BatchDone();
    });
  }
  for (const auto& end : ends) end();
}

void RedisControlStore::Executed(const std::vector<CallId>& batch, RedisReply reply) {
  if (reply.kind == RedisReply::Kind::kNil) {  // another raylet changed one of the cells first
    changes_.insert(changes_.begin(), batch.begin(), batch.end());
    batch_max_ = std::max<size_t>(1, batch.size() / 2);
    return BatchDone();
  }
  batch_max_ = std::min(kBatchMax, batch_max_ * 2);
  std::optional<Error> refused;
  if (reply.IsError()) refused = Refusal(reply.text);
  for (const RedisReply& part : reply.list)
    if (part.IsError() && !refused) refused = Refusal(part.text);
  BatchDone();
  for (const CallId id : batch) {
    const auto call = Close(id);
    if (!call) continue;
    if (refused)
      call->refused(*refused);
    else
      call->done(Changed{call->existed, connection_.number()});
  }
}

void RedisControlStore::BatchDone() {
  batch_under_way_ = false;
  if (!changes_.empty()) Later([this] { Pump(); });
}

}  // namespace raylet
