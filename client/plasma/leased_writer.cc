#include "client/plasma/leased_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "fbs/messages.h"

namespace raylet::client {
namespace {

constexpr uint32_t kPutsBeforeOpening = 3;  // a program with fewer of them is better off with messages
constexpr uint32_t kRunsAtFirst = 16;
constexpr Duration kLook = std::chrono::milliseconds(20);  // whether the server still lives
thread_local SpinPark spin;                                // knows how long this thread's recent waits took

uint64_t InArena(const BatchObject& object) { return AlignUp(object.data.size()) + object.metadata.size(); }

std::optional<Result<void>> NotOpen(const Result<bool>& open) {
  if (open) return std::nullopt;
  return Fail(open.error());
}

template <class T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

Result<bool> LeasedWriter::Open(Duration patience) {
  State state = state_.load(std::memory_order_acquire);  // with the release below: all that Attach has set
  if (state == State::kOpen) [[likely]] {
    if (!IsLost()) [[likely]]
      return true;
    if (!Leave()) return false;
    state = State::kUnused;
  }
  if (state != State::kUnused || puts_seen_.fetch_add(1, std::memory_order_relaxed) < kPutsBeforeOpening) return false;
  if (!state_.compare_exchange_strong(state, State::kOpening, std::memory_order_relaxed)) return false;
  const auto attached = Attach(patience);
  // A later put tries again where the daemon did not answer. Otherwise puts go on by messages.
  const bool again = !attached && attached.error().code == ErrorCode::kTimedOut;
  state_.store(attached ? State::kOpen : again ? State::kUnused : State::kNone, std::memory_order_release);
  if (again) return Fail(attached.error());
  return attached.has_value();
}

Result<void> LeasedWriter::Attach(Duration patience) {
  restarts_.store(index_.header().restarts.load(std::memory_order_acquire), std::memory_order_relaxed);
  restored_ = connection_.restored();
  std::vector<UniqueFd> fds;
  const auto reply = connection_.CallForDescriptors<wire::PutRingReplyT>(
      wire::StoreMessage::OpenPutRing, wire::OpenPutRingRequestT(), wire::StoreMessage::PutRingReply, patience, &fds);
  if (!reply) return Fail(reply.error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  if (fds.size() != 2) return Fail(ErrorCode::kProtocolError, "a put ring without its descriptors");
  const auto bytes = FileSize(fds[0].get());
  if (!bytes || *bytes < PutPageBytes()) return Fail(ErrorCode::kProtocolError, "a put page that is too short");
  auto memory = Mapping::Map(fds[0].get(), PutPageBytes(), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  memory_ = *std::move(memory);
  const std::span<std::byte> all(memory_.data(), PutPageBytes());
  const auto page = CheckPutPage(all, client_);
  if (!page) return Fail(page.error());
  auto ring = RingProducer::Attach(PutRingOf(all));
  if (!ring) return Fail(std::move(ring).error());
  const auto base = arena_.ForWriting();
  if (!base) return Fail(base.error());
  page_ = *page;
  bell_ = Bell::OfEvent(std::move(fds[1]));
  base_ = *base;
  const MutexLock lock(mutex_);
  ring_ = *std::move(ring);
  posts_.resize(kPostsMax);
  return {};
}

bool LeasedWriter::HasRuns(uint32_t put_class, uint32_t count) {
  OfClass& of_class = classes_[put_class];
  if (of_class.spare.size() >= count) return true;
  count -= static_cast<uint32_t>(of_class.spare.size());
  if (count > kGrantsPerClass) return false;
  // They are granted in order, and taken back from the end.
  const uint32_t last = (of_class.next + count - 1) % kGrantsPerClass;
  return page_->grants[put_class][last].load(std::memory_order_relaxed) != 0;
}

std::optional<LeasedWriter::Run> LeasedWriter::TakeRun(uint32_t put_class) {
  OfClass& of_class = classes_[put_class];
  if (!of_class.spare.empty()) {
    const Run run = of_class.spare.back();
    of_class.spare.pop_back();
    return run;
  }
  const uint32_t place = of_class.next % kGrantsPerClass;
  std::atomic<uint64_t>& grant = page_->grants[put_class][place];
  if (grant.load(std::memory_order_relaxed) == 0) return std::nullopt;
  // Acquire, with the release of the grant: what was in the memory before is not written any more.
  const uint64_t run = grant.exchange(0, std::memory_order_acq_rel);
  if (run == 0) return std::nullopt;
  ++of_class.next;
  if (!arena_.Holds(run - 1, PutClassBytes(put_class), 0)) return std::nullopt;  // no daemon of ours granted this
  return Run{put_class * kGrantsPerClass + place, run - 1};
}

bool LeasedWriter::Want(uint32_t put_class, uint32_t count) {
  OfClass& of_class = classes_[put_class];
  of_class.wanted = std::clamp(count, std::max(of_class.wanted, kRunsAtFirst), kGrantsPerClass);
  const PutWant want{put_class, of_class.wanted};
  return Commit(PutPostType::kWant, BytesOf(want), {}, {});
}

void LeasedWriter::LoseReported() {
  for (uint32_t at = collected_; at != posted_; ++at) {
    Post& post = posts_[at % kPostsMax];
    if (std::exchange(post.reported, false) && !failure_)
      failure_ = Error{ErrorCode::kUnavailable,
                       StrCat("object ", post.id.hex(), " may not have been put: the store's server died meanwhile")};
  }
}

bool LeasedWriter::Leave() {
  const MutexLock lock(mutex_);
  if (!IsOpen()) return false;  // another thread was first
  if (connection_.restored() == restored_ || users_.load(std::memory_order_acquire) != 0) return false;
  Collect();
  LoseReported();
  for (; collected_ != posted_; ++collected_)
    if (const Post& post = posts_[collected_ % kPostsMax]; post.seals)
      connection_.EndSeal(post.id);  // the next server was asked
  posted_ = collected_ = 0;
  classes_ = {};
  ring_ = RingProducer();
  page_ = nullptr;
  memory_ = Mapping();
  state_.store(State::kUnused, std::memory_order_release);
  return true;
}

bool LeasedWriter::Write(const Run& run, const BatchObject& object) {
  pins_.writing.store(WritingRun(run.offset, run.slot / kGrantsPerClass), std::memory_order_seq_cst);
  if (index_.header().restarts.load(std::memory_order_seq_cst) != restarts_.load(std::memory_order_relaxed)) {
    pins_.writing.store(0, std::memory_order_release);
    return false;
  }
  if (!object.data.empty()) std::memcpy(base_ + run.offset, object.data.data(), object.data.size());
  if (!object.metadata.empty())
    std::memcpy(base_ + MetadataOffset(run.offset, object.data.size()), object.metadata.data(), object.metadata.size());
  pins_.writing.store(0, std::memory_order_release);  // after the bytes
  return true;
}

bool LeasedWriter::Commit(PutPostType type, std::span<const std::byte> head, std::span<const std::byte> rest,
                          Post post) {
  if (posted_ - collected_ >= kPostsMax) return false;
  const auto room = ring_.TryReserve(head.size() + rest.size());
  if (!room) return false;
  std::memcpy(room->data(), head.data(), head.size());
  if (!rest.empty()) std::memcpy(room->data() + head.size(), rest.data(), rest.size());
  posts_[posted_ % kPostsMax] = post;
  ++posted_;
  ring_.Commit(static_cast<uint32_t>(type), head.size() + rest.size());
  return true;
}

void LeasedWriter::Collect() {
  const uint32_t done = page_->done.load(std::memory_order_acquire);
  if (done - collected_ > posted_ - collected_) return;  // no daemon of ours wrote this
  for (; collected_ != done; ++collected_) {
    const uint32_t place = collected_ % kPostsMax;
    const auto code = static_cast<ErrorCode>(page_->outcomes[place].load(std::memory_order_relaxed));
    const Post& post = posts_[place];
    if (post.outcome != nullptr) *post.outcome = {true, code};
    if (post.seals) connection_.EndSeal(post.id);
    if (code != ErrorCode::kOk && post.reported && !failure_)
      failure_ = Error{code, StrCat("object ", post.id.hex(), " was not put: ", ErrorCodeName(code))};
  }
}

Result<void> LeasedWriter::WaitFor(uint32_t post, Duration patience) {
  const auto alive = [this] {
    // The daemon waits for messages that were sent before, of which the socket may have taken a part.
    static_cast<void>(connection_.Flush());
    return !connection_.ended() && !connection_.PeerGone() && !IsLost();
  };
  if (spin.WaitUntil(
          page_->answers, Deadline::After(patience), [&] { return Done(post); }, alive, {}, kLook))
    return {};
  if (!alive()) return connection_.Closed();
  return connection_.NoAnswer();
}

std::optional<Result<void>> LeasedWriter::NotAnswered(Result<void> waited) const {
  if (waited.error().code == ErrorCode::kDisconnected && !connection_.ended()) return std::nullopt;
  return waited;
}

std::optional<Result<void>> LeasedWriter::OutcomeOf(uint32_t post, Outcome& outcome, Duration patience) {
  auto waited = WaitFor(post, patience);
  const MutexLock lock(mutex_);
  Collect();
  if (!outcome.known) {
    posts_[post % kPostsMax].outcome = nullptr;
    return waited ? Result<void>(connection_.NoAnswer()) : NotAnswered(std::move(waited));
  }
  if (outcome.code != ErrorCode::kOk) return std::nullopt;
  return Result<void>();
}

bool LeasedWriter::TryPost(const BatchObject& object, const CreateOptions& options, Post post) {
  const uint32_t put_class = PutClassOf(InArena(object));
  if (posted_ - collected_ >= kPostsMax) return false;
  const auto run = TakeRun(put_class);
  if (!run) return false;
  if (!Write(*run, object)) return false;
  PutPost record{};
  record.frames = connection_.frames_sent();
  std::memcpy(record.id, object.id.data(), sizeof record.id);
  record.slot = run->slot;
  record.data_bytes = static_cast<uint32_t>(object.data.size());
  record.metadata_bytes = static_cast<uint32_t>(object.metadata.size());
  record.owner = options.owner;
  record.flags = (options.evict_if_full ? kPutEvictFlag : 0) | (options.owned ? kPutOwnedFlag : 0);
  if (Commit(PutPostType::kPut, BytesOf(record), {}, post)) return true;
  classes_[put_class].spare.push_back(*run);
  return false;
}

template <class Attempt>
std::optional<Result<void>> LeasedWriter::PutBy(const ObjectId* woken, Duration patience, Attempt attempt) {
  if (const auto open = Open(patience); !open || !*open) return NotOpen(open);
  Use use(*this);
  std::optional<Deadline> waits_until;
  for (;;) {
    Step step;
    {
      const MutexLock lock(mutex_);
      if (!IsOpen()) return std::nullopt;
      Begin(use);
      Collect();
      step = attempt();
    }
    if (step.kind == Step::kByMessage) return std::nullopt;
    RingBell(step.kind == Step::kPosted ? woken : nullptr);
    if (step.kind == Step::kPosted) {
      if (step.outcome == nullptr) return Result<void>();
      return OutcomeOf(step.post, *step.outcome, patience);
    }
    if (!waits_until) waits_until = Deadline::After(patience);
    if (auto waited = WaitFor(step.post, waits_until->Left(patience)); !waited) return NotAnswered(std::move(waited));
  }
}

std::optional<Result<void>> LeasedWriter::TryPut(const BatchObject& object, const CreateOptions& options,
                                                 Duration patience) {
  if (InArena(object) > kPutBytesMax) return std::nullopt;
  Outcome outcome;
  bool asked = false;
  return PutBy(&object.id, patience, [&]() RAYLET_REQUIRES(mutex_) -> Step {
    if (TryPost(object, options, {.outcome = &outcome, .reported = false, .seals = false, .id = object.id}))
      return {Step::kPosted, posted_ - 1, &outcome};
    if (std::exchange(asked, true) || !Want(PutClassOf(InArena(object)), kRunsAtFirst)) return {};
    return {Step::kWaits, posted_ - 1};
  });
}

std::optional<Result<void>> LeasedWriter::TryPutAsync(const BatchObject& object, const CreateOptions& options,
                                                      Duration patience) {
  if (InArena(object) > kPutBytesMax) return std::nullopt;
  const uint32_t put_class = PutClassOf(InArena(object));
  bool asked = false;
  return PutBy(&object.id, patience, [&]() RAYLET_REQUIRES(mutex_) -> Step {
    if (TryPost(object, options, {.outcome = nullptr, .reported = true, .seals = false, .id = object.id}))
      return {Step::kPosted, posted_ - 1};
    const uint32_t under_way = posted_ - collected_;
    const bool more = !HasRuns(put_class, 1) && Want(put_class, 2 * classes_[put_class].wanted);
    if (under_way == 0 && (asked || !more)) return {};
    asked = under_way == 0;
    return {Step::kWaits, under_way == 0 ? posted_ - 1 : collected_ + under_way / 2};
  });
}

std::optional<Result<void>> LeasedWriter::TryPutAll(std::span<const BatchObject> objects, const CreateOptions& options,
                                                    Duration patience) {
  if (objects.empty() || objects.size() > kPutBatchObjectsMax) return std::nullopt;
  std::array<uint32_t, kPutClasses> counts{};
  for (const BatchObject& object : objects) {
    if (InArena(object) > kPutBytesMax) return std::nullopt;
    ++counts[PutClassOf(InArena(object))];
  }
  Outcome outcome;
  bool asked = false;
  return PutBy(nullptr, patience, [&]() RAYLET_REQUIRES(mutex_) -> Step {
    bool missing = false;
    for (uint32_t put_class = 0; put_class < kPutClasses; ++put_class) {
      if (counts[put_class] == 0 || HasRuns(put_class, counts[put_class])) continue;
      missing = true;
      if (asked || !Want(put_class, counts[put_class])) return {};
    }
    asked = true;
    if (missing) return {Step::kWaits, posted_ - 1};
    if (!TryPostAll(objects, options, {.outcome = &outcome, .reported = false, .seals = false, .id = {}})) return {};
    return {Step::kPosted, posted_ - 1, &outcome};
  });
}

bool LeasedWriter::TryPostAll(std::span<const BatchObject> objects, const CreateOptions& options, Post post) {
  std::vector<PutBatchObject> records(objects.size());
  std::vector<Run> runs;
  runs.reserve(objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    const auto run = TakeRun(PutClassOf(InArena(objects[i])));
    if (!run) break;
    runs.push_back(*run);
    if (!Write(*run, objects[i])) return false;
    std::memcpy(records[i].id, objects[i].id.data(), sizeof records[i].id);
    records[i].slot = run->slot;
    records[i].data_bytes = static_cast<uint32_t>(objects[i].data.size());
    records[i].metadata_bytes = static_cast<uint32_t>(objects[i].metadata.size());
  }
  const PutBatchHead head{.frames = connection_.frames_sent(),
                          .count = static_cast<uint32_t>(objects.size()),
                          .flags = options.evict_if_full ? kPutEvictFlag : 0};
  if (runs.size() == objects.size() &&
      Commit(PutPostType::kBatch, BytesOf(head), std::as_bytes(std::span(records)), post))
    return true;
  for (const Run& run : runs) classes_[run.slot / kGrantsPerClass].spare.push_back(run);
  return false;
}

bool LeasedWriter::PostSeal(const ObjectId& id, Post post) {
  PutPost record{};
  record.frames = connection_.frames_sent();
  std::memcpy(record.id, id.data(), sizeof record.id);
  return Commit(PutPostType::kSeal, BytesOf(record), {}, post);
}

std::optional<Result<void>> LeasedWriter::TrySeal(const ObjectId& id, Duration patience) {
  if (const auto open = Open(patience); !open || !*open) return NotOpen(open);
  Use use(*this);
  Outcome outcome;
  uint32_t post = 0;
  {
    const MutexLock lock(mutex_);
    if (!IsOpen()) return std::nullopt;
    Begin(use);
    Collect();
    if (!PostSeal(id, {.outcome = &outcome, .reported = false, .seals = false, .id = id})) return std::nullopt;
    post = posted_ - 1;
  }
  RingBell(&id);
  auto sealed = OutcomeOf(post, outcome, patience);
  // The store has removed it, so that a message would not find it.
  if (!sealed && outcome.code == ErrorCode::kCancelled)
    return Fail(ErrorCode::kCancelled,
                StrCat("seal: the owner of object ", id.hex(), " has gone, and the object with it"));
  return sealed;
}

bool LeasedWriter::TrySealAsync(const ObjectId& id) {
  if (state_.load(std::memory_order_acquire) != State::kOpen) return false;
  Use use(*this);
  {
    const MutexLock lock(mutex_);
    if (!IsOpen() || IsLost()) return false;
    Begin(use);
    Collect();
    connection_.BeginSeal(id);
    if (!PostSeal(id, {.outcome = nullptr, .reported = false, .seals = true, .id = id})) {
      connection_.EndSeal(id);
      return false;
    }
  }
  RingBell(&id);
  return true;
}

Result<void> LeasedWriter::AwaitPuts(Duration patience) {
  Use use(*this);
  uint32_t posted = 0;
  {
    const MutexLock lock(mutex_);
    posted = posted_;
    if (IsOpen()) Begin(use);
  }
  if (use.begun())
    if (auto waited = WaitFor(posted - 1, patience); !waited && NotAnswered(waited)) return waited;
  const MutexLock lock(mutex_);
  if (use.begun()) {
    Collect();
    if (!Done(posted - 1)) LoseReported();
  }
  if (auto failure = std::exchange(failure_, std::nullopt)) return Fail(*std::move(failure));
  return {};
}

}  // namespace raylet::client
