// The handles of a dense parameter server. Each method makes one call to each shard, all at once, and collects the
// replies before one deadline.
#include <ray/parameter_server/parameters.h>

#include <algorithm>
#include <cmath>
#include <thread>
#include <type_traits>
#include <utility>

#include <ray/api.h>

#include "client/parameter_server/compression.h"
#include "client/parameter_server/home.h"
#include "client/parameter_server/machine.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/removal.h"
#include "client/parameter_server/replica.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"
#include "client/parameter_server/version_cell.h"

namespace ray::ps {

using internal::kNoRank;
using internal::kNoVersion;
using internal::Patience;
using internal::Shard;
using ray::internal::RayException;

// Here, because every program that uses Parameters links this file. A program gives nothing to RAY_REMOTE itself.
namespace internal {
using FloatShard = Shard<float>;
using DoubleShard = Shard<double>;

#define REGISTER_SHARD(S)                                                                                       \
  RAY_REMOTE(S::Create, &S::Read, &S::Push, &S::PushPacked, &S::SetWorkers, &S::Flush, &S::Stats, &S::Know,     \
             &S::Refill, &S::Save, &S::Saved, &S::Load, &S::Commit, &S::Begin, &S::Renew, &S::Close, &S::Admit, \
             &S::Settle, &S::Export, &S::Inherit, &S::Open, &S::Move, &S::Lacks, &S::Where)
REGISTER_SHARD(ray::ps::internal::FloatShard);
REGISTER_SHARD(ray::ps::internal::DoubleShard);
using FloatReplica = Replica<float>;
using DoubleReplica = Replica<double>;
#define REGISTER_REPLICA(R) RAY_REMOTE(R::Create, &R::Follow, &R::Fill, &R::Ready, &R::Know, &R::Note, &R::Export)
REGISTER_REPLICA(ray::ps::internal::FloatReplica);
REGISTER_REPLICA(ray::ps::internal::DoubleReplica);
#undef REGISTER_REPLICA
#undef REGISTER_SHARD

void ThrowNoServer(const char* handle) { throw RayException(std::string(handle) + " of no server: Create makes one"); }
}  // namespace internal

namespace {

template <class T>
[[noreturn]] void ThrowNotFinite(const std::vector<std::span<T>>& spans) {
  size_t index = 0;
  for (const auto& span : spans)
    for (const T value : span) {
      if (!std::isfinite(value))
        throw RayException("element " + std::to_string(index) + " of the gradient is " + std::to_string(value) +
                           ": with refuse_nan a gradient has finite numbers alone");
      ++index;
    }
  throw RayException("the norm of the gradient is no finite number, though its elements are");
}

// The factor that gives the gradient at most the norm. It looks at the gradient only where the options ask for it.
template <class T>
double ScaleOf(Gradient<T>& gradient, double norm_max, bool refuse_nan) {
  if (norm_max <= 0 && !refuse_nan) return 1;
  double squares = 0;
  for (const auto& span : gradient.spans()) squares += internal::SquareSum(std::span<const T>(span));
  if (refuse_nan && !std::isfinite(squares)) ThrowNotFinite(gradient.spans());
  const double norm = std::sqrt(squares);
  return norm_max > 0 && norm > norm_max ? norm_max / norm : 1;
}

template <class T>
Compression CompressionOf(const internal::Server<T>& server) {
  return {static_cast<Compression::Kind>(server.compression), server.share, server.everywhere};
}

template <class T>
Array<uint8_t> Packed(const Compression& compression, std::span<T> gradient, std::vector<T>& residual) {
  MutableArray<uint8_t> packed(internal::PackedBytes(compression, gradient.size(), sizeof(T)));
  internal::Pack<T>(compression, gradient, residual, packed.span());
  return std::move(packed).Seal();
}

[[noreturn]] void ThrowLate(size_t shard, size_t count, bool answered, int64_t deadline_ms, const std::string& policy) {
  if (!answered) internal::ThrowNoAnswer({"Get", shard, count}, deadline_ms);
  throw ray::internal::RayTimeoutException("shard " + std::to_string(shard) + " of " + std::to_string(count) +
                                           " had no version to read within " + std::to_string(deadline_ms) +
                                           " ms, under the policy " + policy +
                                           ": a worker is late, and round_deadline is not over yet");
}

}  // namespace

// ---- Parameters

template <class T>
Parameters<T> Parameters<T>::Create(size_t size, const Options& options) {
  return Parameters(internal::StartServer<T>(internal::SplitEvenly(size, options.shards), {}, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(std::span<const T> initial, const Options& options) {
  return Parameters(internal::StartServer<T>(internal::SplitEvenly(initial.size(), options.shards), initial, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(const std::map<std::string, Shape>& tensors, const Options& options) {
  return Parameters(internal::StartServer<T>(internal::LayoutOf(tensors, options.shards), {}, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(const std::map<std::string, Shape>& tensors, std::span<const T> initial,
                                    const Options& options) {
  internal::Layout layout = internal::LayoutOf(tensors, options.shards);
  internal::CheckSize("the list of initial values", initial.size(), layout.size());
  return Parameters(internal::StartServer<T>(std::move(layout), initial, options));
}

template <class T>
Snapshot<T> Parameters<T>::Get() const {
  return Read(kNoRank, nullptr, nullptr);
}

template <class T>
Snapshot<T> Parameters<T>::GetIfNewer(const Snapshot<T>& snapshot) const {
  internal::CheckSize("the snapshot", snapshot.size(), size());
  const auto& content = snapshot.content();
  const auto now = std::chrono::steady_clock::now();
  size_t same = 0;
  while (same < content.cells.size() && content.cells[same] != nullptr &&
         content.cells[same]->StillAt(content.versions[same], now))
    ++same;
  if (same == content.versions.size()) return snapshot;
  return Read(kNoRank, &snapshot, nullptr);
}

template <class T>
Snapshot<T> Parameters<T>::Read(uint64_t rank, const Snapshot<T>* known, std::vector<uint64_t>* machines) const {
  const auto first = Require();
  const Patience patience(first->deadline_ms);
  for (auto server = first;; server = Require()) {
    const size_t count = server->shards.size();
    internal::SnapshotContent<T> content{server->layout.pointer, {}, {}, {}};
    content.pieces.resize(count);
    content.versions.resize(count, kNoVersion);
    content.cells.resize(count);
    if (known != nullptr && known->pieces().size() == count) {
      content.pieces = known->pieces();
      content.versions = known->versions();
    }
    if (TryRead(*server, content, rank, machines, patience)) return Snapshot<T>(std::move(content));
  }
}

// All shards at once; again those that say to wait. Under a policy of rounds the versions of a snapshot are the same: a
// shard that is behind the others ends the same round, or its deadline does.
template <class T>
bool Parameters<T>::TryRead(const internal::Server<T>& server, internal::SnapshotContent<T>& content, uint64_t rank,
                            std::vector<uint64_t>* machines, const Patience& patience) const {
  auto& [layout, pieces, versions, cells] = content;
  const size_t count = pieces.size();
  if (machines != nullptr) machines->resize(count);
  uint64_t wanted = kNoVersion;
  std::vector<size_t> missing(count);
  for (size_t i = 0; i < count; ++i) missing[i] = i;
  std::vector<ObjectRef<internal::ReadReply<T>>> replies(count);
  std::vector<bool> answered(count);
  for (;;) {
    for (const size_t i : missing)
      replies[i] = server.shards[i].Task(&Shard<T>::Read).Remote(rank, wanted, versions[i]);
    std::vector<size_t> again;
    bool waits = false;
    bool heeds = true;  // a closed shard: the home is asked once for all of them
    for (const size_t i : missing) {
      std::shared_ptr<internal::ReadReply<T>> reply;
      try {
        reply = replies[i].Get(patience.RemainingMs());
      } catch (const ray::internal::RayActorException& e) {
        if (Refresh(server, 0, patience)) return false;
        if (internal::IsOver(e, server.restarts) || patience.Over()) throw;
      } catch (const ray::internal::RayTimeoutException&) {
        ThrowLate(i, count, answered[i], server.deadline_ms, server.policy);
      }
      if (reply != nullptr && (reply->moved || (reply->resize != 0 && std::exchange(heeds, false))) &&
          Refresh(server, reply->resize, patience))
        return false;
      answered[i] = answered[i] || reply != nullptr;
      if (reply == nullptr || !reply->ready) {
        again.push_back(i);
        waits = true;
        continue;
      }
      cells[i] = internal::ReadCell::At(reply->cell);
      if (cells[i] != nullptr) cells[i]->Asked(std::chrono::steady_clock::now());
      if (reply->version != versions[i]) {
        versions[i] = reply->version;
        pieces[i] = std::move(reply->values);
        if (machines != nullptr) (*machines)[i] = reply->machine;
      }
    }
    if (again.empty() && server.has_rounds) {
      const uint64_t newest = *std::max_element(versions.begin(), versions.end());
      for (size_t i = 0; i < count; ++i)
        if (versions[i] < newest) again.push_back(i);
      wanted = newest;
    }
    if (again.empty()) return true;
    if (patience.Over()) ThrowLate(again[0], count, answered[again[0]], server.deadline_ms, server.policy);
    if (waits) patience.Sleep();
    missing = std::move(again);
  }
}

template <class T>
bool Parameters<T>::Refresh(const internal::Server<T>& server, uint64_t resize, const Patience& patience) const {
  if (this->pointer()->epoch > server.epoch) return true;
  auto newer = internal::NewerThan(server, resize, patience);
  if (newer == nullptr) return false;
  this->Moved(std::move(newer));
  return true;
}

template <class T>
template <class Call>
auto Parameters<T>::Settled(const Call& call) const {
  return internal::Settled([this] { return Require(); }, [this](const auto&... a) { return Refresh(a...); }, call);
}

template <class T>
template <class Call>
auto Parameters<T>::SettledRead(const char* what, const Call& call) const {
  return internal::SettledRead(
      what, [this] { return Require(); }, [this](const auto&... a) { return Refresh(a...); }, call);
}

template <class T>
void Parameters<T>::Resize(size_t shards) {
  internal::ResizeFrom(
      Require(), shards, [&](const internal::Server<T>& server) { return internal::Resized(server, shards); },
      [this](std::shared_ptr<const internal::Server<T>> newer) { this->Moved(std::move(newer)); });
}

template <class T>
Gradient<T> Parameters<T>::NewGradient() const {
  const auto server = Require();
  return NewGradient(server->layout.pointer, std::vector<uint64_t>(server->shards.size(), kNoVersion));
}

template <class T>
Gradient<T> Parameters<T>::NewGradient(const Snapshot<T>& snapshot) const {
  internal::CheckSize("the snapshot", snapshot.size(), size());
  return NewGradient(snapshot.content().layout, snapshot.versions());
}

// A full store may be full of gradients that the shards keep for the next pass.
template <class T>
Gradient<T> Parameters<T>::NewGradient(const std::shared_ptr<const internal::Layout>& layout,
                                       std::vector<uint64_t> versions) const {
  try {
    return Gradient<T>(layout, versions);
  } catch (const RayException&) {
    Settled([](const internal::Server<T>& server) {
      std::vector<ObjectRef<void>> flushed;
      for (const auto& shard : server.shards) flushed.push_back(shard.Task(&Shard<T>::Flush).Remote());
      internal::AnswersOf(flushed, "NewGradient", Patience(server.deadline_ms));
    });
    return Gradient<T>(layout, std::move(versions));
  }
}

template <class T>
ps::Update Parameters<T>::Update(Gradient<T>&& gradient) const {
  return Begin(std::move(gradient), true).Get();
}

template <class T>
PendingUpdate<T> Parameters<T>::UpdateAsync(Gradient<T>&& gradient) const {
  return Begin(std::move(gradient), false);
}

template <class T>
PendingUpdate<T> Parameters<T>::Begin(Gradient<T>&& gradient, bool waits) const {
  const auto server = Require();
  if (server->ranks > 0)
    throw RayException("the policy " + server->policy + " has workers with ranks: update through Worker(rank)");
  return Push(server, std::move(gradient), {kNoRank, internal::NextSequence(), 1, waits});
}

template <class T>
PendingUpdate<T> Parameters<T>::Push(const std::shared_ptr<const internal::Server<T>>& server, Gradient<T>&& gradient,
                                     internal::PushContext context,
                                     const std::vector<std::vector<T>*>& residuals) const {
  const size_t count = server->shards.size();
  internal::CheckSize("the gradient", gradient.size(), server->layout->size());
  PendingUpdate<T> pending;
  pending.server_ = server;
  pending.tell_ = [handle = *this](std::shared_ptr<const internal::Server<T>> newer) {
    handle.Moved(std::move(newer));
  };
  context.scale = ScaleOf(gradient, server->clip_norm, server->refuse_nan);
  pending.context_ = context;
  pending.versions_ = gradient.versions();
  if (gradient.layout()->offsets != server->layout->offsets) {  // it was made before a Resize
    const auto spans = gradient.spans();
    gradient.pieces() = internal::Resplit<T>({spans.begin(), spans.end()}, *server->layout);
    pending.versions_.assign(count, *std::min_element(pending.versions_.begin(), pending.versions_.end()));
  }
  pending.pieces_.resize(count);
  pending.packed_.resize(count);
  pending.replies_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    MutableArray<T>& piece = gradient.pieces()[i];
    if (i < residuals.size() && residuals[i] != nullptr)
      pending.packed_[i] = Packed(CompressionOf(*server), piece.span(), *residuals[i]);
    else
      pending.pieces_[i] = std::move(piece).Seal();
    pending.Send(i);
  }
  return pending;
}

template <class T>
ps::Worker<T> Parameters<T>::Worker(uint64_t rank) const {
  const auto server = Require();
  if (server->ranks > 0 && rank >= server->ranks)
    throw RayException("rank " + std::to_string(rank) + " was asked for, and the policy " + server->policy +
                       " has the ranks 0 to " + std::to_string(server->ranks - 1));
  const bool compresses = CompressionOf(*server).kind != Compression::Kind::kNone;
  return ps::Worker<T>(*this, rank, internal::RandomNumber(), compresses ? internal::ThisMachine() : 0);
}

template <class T>
void Parameters<T>::SetWorkers(uint64_t workers) {
  auto changed = Settled([&](const internal::Server<T>& server) {
    const Patience patience(server.deadline_ms);
    std::vector<ObjectRef<std::string>> replies;
    for (const auto& shard : server.shards) replies.push_back(shard.Task(&Shard<T>::SetWorkers).Remote(workers));
    auto next = std::make_shared<internal::Server<T>>(server);
    for (const auto& policy : internal::AnswersOf(replies, "SetWorkers", patience)) next->policy = *policy;
    next->ranks = workers;
    return next;
  });
  this->set_pointer(std::move(changed));
}

template <class T>
std::vector<ShardStats> Parameters<T>::Stats() const {
  return SettledRead("Stats", [](const internal::Server<T>& server) {
    const Patience patience(server.deadline_ms);
    std::vector<ObjectRef<ShardStats>> replies;
    for (const auto& shard : server.shards) replies.push_back(shard.Task(&Shard<T>::Stats).Remote());
    std::vector<ShardStats> stats;
    for (size_t i = 0; i < replies.size(); ++i) {
      const auto again = [&] { return server.shards[i].Task(&Shard<T>::Stats).Remote(); };
      stats.push_back(*internal::Insist(server.restarts, patience, {"Stats", i, replies.size()}, again, replies[i]));
    }
    return stats;
  });
}

template <class T>
void Parameters<T>::Save(const std::string& path) const {
  SettledRead("Save", [&](const internal::Server<T>& server) {
    internal::SaveShards<Shard<T>>(server.shards, path, server.deadline_ms);
  });
}

template <class T>
void Parameters<T>::Load(const std::string& path) const {
  Settled([&](const internal::Server<T>& server) {
    const Patience patience(server.deadline_ms);
    std::vector<ObjectRef<uint64_t>> read;
    for (const auto& shard : server.shards) read.push_back(shard.Task(&Shard<T>::Load).Remote(path));
    uint64_t version = 0;
    for (const auto& reply : internal::AnswersOf(read, "Load", patience)) version = std::max(version, *reply);
    std::vector<ObjectRef<void>> taken;
    for (const auto& shard : server.shards) taken.push_back(shard.Task(&Shard<T>::Commit).Remote(version));
    internal::AnswersOf(taken, "Load", patience);
  });
}

// ---- PendingUpdate

// A shard that died under the call starts again. Then the gradient goes to it again, unless that might make it count
// twice: without rounds nobody knows whether the shard had taken it.
template <class T>
ps::Update PendingUpdate<T>::Get() {
  if (server_ == nullptr) throw RayException("this update has ended already: its Get may be called once");
  const Patience patience(server_->deadline_ms);
  context_.waits = true;
  ps::Update update;
  update.version = kNoVersion;
  for (size_t i = 0; i < replies_.size();) {
    try {
      const auto reply = internal::AnswerOf(replies_[i], {"an update", i, replies_.size()}, patience);
      if (reply->closed) {
        if (auto newer = internal::HeedClosed(*server_, reply->resize, patience)) {
          SendTo(std::move(newer));
          update = {.version = kNoVersion};
          i = 0;
          continue;
        }
        if (patience.Over()) internal::ThrowClosed({"an update", i, replies_.size()}, patience.deadline_ms());
        patience.Sleep();
        Send(i);
        continue;
      }
      update.version = std::min(update.version, reply->version);
      update.staleness = std::max(update.staleness, reply->staleness);
      update.applied = update.applied && reply->applied;
      ++i;
    } catch (const ray::internal::RayActorException& e) {
      if (auto newer = internal::NewerThan(*server_, 0, patience)) {
        SendTo(std::move(newer));
        update = {.version = kNoVersion};
        i = 0;
        continue;
      }
      if (internal::IsOver(e, server_->restarts) || patience.Over()) throw;
      if (server_->has_rounds || server_->replicated) {
        patience.Sleep();
        Send(i);
      } else {
        update.applied = false;
        ++i;
      }
    }
  }
  if (update.version == kNoVersion) update.version = 0;  // every shard died
  server_ = nullptr;
  tell_ = nullptr;
  pieces_.clear();
  packed_.clear();
  return update;
}

template <class T>
void PendingUpdate<T>::Send(size_t shard) {
  const internal::PushArguments arguments{context_.rank, versions_[shard], context_.sequence, context_.scale,
                                          context_.waits};
  const auto& actor = server_->shards[shard];
  if (packed_[shard].empty())
    replies_[shard] = actor.Task(&Shard<T>::Push).Remote(arguments, pieces_[shard]);
  else
    replies_[shard] =
        actor.Task(&Shard<T>::PushPacked)
            .Remote(arguments, internal::WireCompression{server_->compression, server_->share}, packed_[shard]);
}

// A shard that has the gradient already says so.
template <class T>
void PendingUpdate<T>::SendTo(std::shared_ptr<const internal::Server<T>> server) {
  tell_(server);
  std::vector<std::span<const T>> spans;
  std::vector<MutableArray<T>> unpacked;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (packed_[i].empty()) {
      spans.push_back(pieces_[i].span());
      continue;
    }
    auto& gradient = unpacked.emplace_back(server_->layout->ShardSize(i));
    internal::Unpack(CompressionOf(*server_), packed_[i].span(), gradient.span());
    spans.push_back(gradient.span());
  }
  auto shared = internal::Resplit<T>(spans, *server->layout);
  const size_t count = server->shards.size();
  versions_.assign(count, *std::min_element(versions_.begin(), versions_.end()));
  server_ = std::move(server);
  packed_.assign(count, {});
  pieces_.clear();
  for (auto& piece : shared) pieces_.push_back(std::move(piece).Seal());
  replies_.clear();
  replies_.resize(count);
  for (size_t i = 0; i < count; ++i) Send(i);
}

// ---- Worker

template <class T>
Snapshot<T> Worker<T>::Get() {
  Snapshot<T> snapshot = parameters_.Read(rank_, nullptr, &machines_);
  read_ = snapshot.versions();
  layout_ = snapshot.content().layout;
  return snapshot;
}

template <class T>
Gradient<T> Worker<T>::NewGradient() const {
  return read_.empty() ? parameters_.NewGradient() : parameters_.NewGradient(layout_, read_);
}

template <class T>
ps::Update Worker<T>::Update(Gradient<T>&& gradient) {
  return Begin(std::move(gradient), true).Get();
}

template <class T>
PendingUpdate<T> Worker<T>::UpdateAsync(Gradient<T>&& gradient) {
  return Begin(std::move(gradient), false);
}

template <class T>
PendingUpdate<T> Worker<T>::Begin(Gradient<T>&& gradient, bool waits) {
  const auto server = parameters_.Require();
  const size_t count = server->shards.size();
  std::vector<std::vector<T>*> residuals;
  if (server->compression != 0 && (server->everywhere || machines_.size() == count)) {
    if (residual_layout_ != server->layout.pointer) MoveResiduals(server->layout.pointer);
    residuals.resize(count);
    for (size_t i = 0; i < count; ++i) {
      if (!server->everywhere && machines_[i] == machine_) continue;
      residuals_[i].resize(server->layout->ShardSize(i));
      residuals[i] = &residuals_[i];
    }
  }
  return parameters_.Push(server, std::move(gradient), {server->ranks > 0 ? rank_ : kNoRank, sequence_++, 1, waits},
                          residuals);
}

template <class T>
void Worker<T>::MoveResiduals(std::shared_ptr<const internal::Layout> layout) {
  if (residual_layout_ != nullptr) {
    std::vector<std::span<const T>> spans;
    for (size_t i = 0; i < residuals_.size(); ++i) {
      residuals_[i].resize(residual_layout_->ShardSize(i));
      spans.push_back(residuals_[i]);
    }
    const SplitSpan<const T> all(std::move(spans), {});
    std::vector<std::vector<T>> moved;
    for (size_t i = 0; i < layout->shards(); ++i)
      moved.push_back(all.Part(layout->offsets[i], layout->ShardSize(i), {}).Copy());
    residuals_ = std::move(moved);
  }
  residuals_.resize(layout->shards());
  residual_layout_ = std::move(layout);
}

template class Parameters<float>;
template class Parameters<double>;
template class Worker<float>;
template class Worker<double>;
template class PendingUpdate<float>;
template class PendingUpdate<double>;

}  // namespace ray::ps
