// The handles of a dense parameter server. Each method makes one call to each shard, all at once, and collects the
// replies before one deadline.
#include <ray/parameter_server/parameters.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <type_traits>
#include <utility>

#include <ray/api.h>

#include "client/parameter_server/compression.h"
#include "client/parameter_server/machine.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/placement.h"
#include "client/parameter_server/replica.h"
#include "client/parameter_server/shard.h"
#include "client/parameter_server/version_cell.h"

namespace ray::ps {

using internal::kNoRank;
using internal::kNoVersion;
using internal::Layout;
using internal::Patience;
using internal::Shard;
using ray::internal::RayException;

// Here, because every program that uses Parameters links this file. A program gives nothing to RAY_REMOTE itself.
namespace internal {
using FloatShard = Shard<float>;
using DoubleShard = Shard<double>;

#define REGISTER_SHARD(S)                                                                                              \
  RAY_REMOTE(S::Create, &S::Read, &S::Push, &S::PushPacked, &S::SetWorkers, &S::Flush, &S::Stats, &S::Save, &S::Saved, \
             &S::Load, &S::Commit)
REGISTER_SHARD(ray::ps::internal::FloatShard);
REGISTER_SHARD(ray::ps::internal::DoubleShard);
using FloatReplica = Replica<float>;
using DoubleReplica = Replica<double>;
#define REGISTER_REPLICA(R) RAY_REMOTE(R::Create, &R::Follow, &R::Fill, &R::Export)
REGISTER_REPLICA(ray::ps::internal::FloatReplica);
REGISTER_REPLICA(ray::ps::internal::DoubleReplica);
#undef REGISTER_REPLICA
#undef REGISTER_SHARD

void ThrowNoServer(const char* handle) { throw RayException(std::string(handle) + " of no server: Create makes one"); }
}  // namespace internal

namespace {

uint64_t RandomNumber() {
  std::random_device device;
  return (uint64_t{device()} << 32) ^ device();
}

template <class T>
std::shared_ptr<const internal::Server<T>> Start(Layout layout, std::span<const T> initial, const Options& options) {
  auto server = std::make_shared<internal::Server<T>>();
  server->layout = std::move(layout);
  server->ranks = internal::RanksOf(options.policy);
  server->has_rounds = internal::HasRounds(options.policy);
  server->refuse_nan = options.refuse_nan;
  server->clip_norm = options.clip.norm;
  server->deadline_ms = options.deadline.count();
  server->policy = internal::TextOf(options.policy);
  server->compression = static_cast<int>(options.compression.kind);
  server->share = options.compression.share;
  server->everywhere = options.compression.everywhere;
  internal::CheckDeadline(options.deadline);
  internal::CheckCompression(options.compression);
  internal::CheckPlacement(options);
  static_cast<void>(internal::RuleOfOptimizer(options.optimizer));                  // throws for an unknown one
  static_cast<void>(internal::PolicyCore(options.policy, options.round_deadline));  // throws for no workers
  internal::ShardSetup setup;
  setup.shards = server->layout.shards();
  setup.optimizer = {{options.optimizer}, internal::WireSchedule::Of(options.schedule), options.clip.value};
  setup.policy = {options.policy};
  setup.round_deadline_ms = options.round_deadline.count();
  setup.checkpoint = options.checkpoint.path;
  setup.checkpoint_every = options.checkpoint.every;
  setup.run = RandomNumber();
  setup.compresses = options.compression.kind != Compression::Kind::kNone;
  if (options.replicas > 1)
    throw RayException(std::to_string(options.replicas) + " replicas were asked for: a shard has none, or 1");
  server->replicated = options.replicas > 0;
  server->restarts = server->replicated || !options.checkpoint.path.empty();
  if (options.checkpoint.path.empty() && options.checkpoint.every > 0)
    throw RayException("checkpoints after each " + std::to_string(options.checkpoint.every) +
                       " steps were asked for, and the path is empty: it takes the name of a file");
  for (size_t i = 0; i < server->layout.shards(); ++i) {
    setup.index = i;
    setup.size = server->layout.ShardSize(i);
    Array<T> piece;
    if (!initial.empty()) piece = Array<T>::CopyOf(initial.subspan(server->layout.offsets[i], setup.size));
    std::vector<ActorHandle<internal::Replica<T>>> replica;
    if (server->replicated) {
      replica.push_back(ray::Actor(internal::Replica<T>::Create)
                            .SetResources(internal::ResourcesOf(options, (i + 1) % setup.shards))
                            .SetMaxRestarts(-1)
                            .Remote(setup, piece));
      server->replicas.push_back(replica[0]);
    }
    server->shards.push_back(ray::Actor(Shard<T>::Create)
                                 .SetResources(internal::ResourcesOf(options, i))
                                 .SetMaxRestarts(server->restarts ? -1 : 0)
                                 .Remote(setup, std::move(piece), replica));
  }
  return server;
}

Layout LayoutOf(const std::map<std::string, Shape>& tensors, size_t shards) {
  std::map<std::string, internal::TensorPlace> places;
  size_t size = 0;
  for (const auto& [name, shape] : tensors) {
    size_t count = 1;
    for (const size_t length : shape)
      if (length == 0 || __builtin_mul_overflow(count, length, &count))
        throw RayException("the tensor '" + name + "' has a dimension of " + std::to_string(length) +
                           ": it takes 1 or more, and a size that memory holds");
    places[name] = {size, shape};
    size += count;
  }
  Layout layout = internal::SplitEvenly(size, shards);
  layout.tensors = std::move(places);
  return layout;
}

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

}  // namespace

// ---- Parameters

template <class T>
Parameters<T> Parameters<T>::Create(size_t size, const Options& options) {
  return Parameters(Start<T>(internal::SplitEvenly(size, options.shards), {}, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(std::span<const T> initial, const Options& options) {
  return Parameters(Start<T>(internal::SplitEvenly(initial.size(), options.shards), initial, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(const std::map<std::string, Shape>& tensors, const Options& options) {
  return Parameters(Start<T>(LayoutOf(tensors, options.shards), {}, options));
}

template <class T>
Parameters<T> Parameters<T>::Create(const std::map<std::string, Shape>& tensors, std::span<const T> initial,
                                    const Options& options) {
  Layout layout = LayoutOf(tensors, options.shards);
  internal::CheckSize("the list of initial values", initial.size(), layout.size());
  return Parameters(Start<T>(std::move(layout), initial, options));
}

template <class T>
Snapshot<T> Parameters<T>::Get() const {
  return Read(kNoRank, nullptr, nullptr);
}

template <class T>
Snapshot<T> Parameters<T>::GetIfNewer(const Snapshot<T>& snapshot) const {
  internal::CheckSize("the snapshot", snapshot.size(), size());
  internal::CheckSize("the list of the snapshot's shards", snapshot.pieces().size(), shards());
  const auto& content = snapshot.content();
  const auto now = std::chrono::steady_clock::now();
  size_t same = 0;
  while (same < content.cells.size() && content.cells[same] != nullptr &&
         content.cells[same]->StillAt(content.versions[same], now))
    ++same;
  if (same == content.versions.size()) return snapshot;
  return Read(kNoRank, &snapshot, nullptr);
}

// All shards at once; again those that say to wait. Under a policy of rounds the versions of a snapshot are the same: a
// shard that is behind the others ends the same round, or its deadline does.
template <class T>
Snapshot<T> Parameters<T>::Read(uint64_t rank, const Snapshot<T>* known, std::vector<uint64_t>* machines) const {
  const internal::Server<T>& server = Require();
  const size_t count = server.shards.size();
  const Patience patience(server.deadline_ms);
  internal::SnapshotContent<T> content{LayoutPointer(), {}, {}, {}};
  auto& [layout, pieces, versions, cells] = content;
  pieces.resize(count);
  versions.resize(count, kNoVersion);
  cells.resize(count);
  if (known != nullptr) {
    pieces = known->pieces();
    versions = known->versions();
  }
  if (machines != nullptr) machines->resize(count);
  uint64_t wanted = kNoVersion;
  std::vector<size_t> missing(count);
  for (size_t i = 0; i < count; ++i) missing[i] = i;
  std::vector<ObjectRef<internal::ReadReply<T>>> replies(count);
  for (;;) {
    for (const size_t i : missing)
      replies[i] = server.shards[i].Task(&Shard<T>::Read).Remote(rank, wanted, versions[i]);
    std::vector<size_t> again;
    bool waits = false;
    for (const size_t i : missing) {
      std::shared_ptr<internal::ReadReply<T>> reply;
      try {
        reply = replies[i].Get(patience.RemainingMs());
      } catch (const ray::internal::RayActorException&) {
        if (!server.restarts || patience.Over()) throw;
      }
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
    if (again.empty()) break;
    if (patience.Over())
      throw ray::internal::RayTimeoutException("shard " + std::to_string(again[0]) + " of " + std::to_string(count) +
                                               " had no version to read within " + std::to_string(server.deadline_ms) +
                                               " ms, under the policy " + server.policy +
                                               ": a worker is late, and round_deadline is not over yet");
    if (waits) patience.Sleep();
    missing = std::move(again);
  }
  return Snapshot<T>(std::move(content));
}

template <class T>
Gradient<T> Parameters<T>::NewGradient() const {
  return NewGradient(std::vector<uint64_t>(shards(), kNoVersion));
}

template <class T>
Gradient<T> Parameters<T>::NewGradient(const Snapshot<T>& snapshot) const {
  internal::CheckSize("the list of the snapshot's shards", snapshot.versions().size(), shards());
  return NewGradient(snapshot.versions());
}

// A full store may be full of gradients that the shards keep for the next pass.
template <class T>
Gradient<T> Parameters<T>::NewGradient(std::vector<uint64_t> versions) const {
  try {
    return Gradient<T>(LayoutPointer(), versions);
  } catch (const RayException&) {
    const internal::Server<T>& server = Require();
    std::vector<ObjectRef<void>> flushed;
    for (const auto& shard : server.shards) flushed.push_back(shard.Task(&Shard<T>::Flush).Remote());
    ray::Get(flushed, Patience(server.deadline_ms).RemainingMs());
    return Gradient<T>(LayoutPointer(), std::move(versions));
  }
}

template <class T>
ps::Update Parameters<T>::Update(Gradient<T>&& gradient) const {
  return UpdateAsync(std::move(gradient)).Get();
}

template <class T>
PendingUpdate<T> Parameters<T>::UpdateAsync(Gradient<T>&& gradient) const {
  const internal::Server<T>& server = Require();
  if (server.ranks > 0)
    throw RayException("the policy " + server.policy + " has workers with ranks: update through Worker(rank)");
  return Push(std::move(gradient), kNoRank, server.replicated ? RandomNumber() : 0);
}

template <class T>
PendingUpdate<T> Parameters<T>::Push(Gradient<T>&& gradient, uint64_t rank, uint64_t sequence,
                                     const std::vector<std::vector<T>*>& residuals) const {
  const internal::Server<T>& server = Require();
  const size_t count = server.shards.size();
  internal::CheckSize("the gradient", gradient.size(), server.layout.size());
  internal::CheckSize("the list of the gradient's shards", gradient.pieces().size(), count);
  PendingUpdate<T> pending;
  pending.server_ = this->pointer();
  pending.context_ = {rank, sequence, ScaleOf(gradient, server.clip_norm, server.refuse_nan)};
  pending.versions_ = gradient.versions();
  pending.pieces_.resize(count);
  pending.packed_.resize(count);
  pending.replies_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    MutableArray<T>& piece = gradient.pieces()[i];
    if (i < residuals.size() && residuals[i] != nullptr)
      pending.packed_[i] = Packed(CompressionOf(server), piece.span(), *residuals[i]);
    else
      pending.pieces_[i] = std::move(piece).Seal();
    pending.Send(i);
  }
  return pending;
}

template <class T>
ps::Worker<T> Parameters<T>::Worker(uint64_t rank) const {
  const internal::Server<T>& server = Require();
  if (server.ranks > 0 && rank >= server.ranks)
    throw RayException("rank " + std::to_string(rank) + " was asked for, and the policy " + server.policy +
                       " has the ranks 0 to " + std::to_string(server.ranks - 1));
  const bool compresses = CompressionOf(server).kind != Compression::Kind::kNone;
  return ps::Worker<T>(*this, rank, RandomNumber(), compresses ? internal::MachineNumber() : 0);
}

template <class T>
void Parameters<T>::SetWorkers(uint64_t workers) {
  const auto changed = std::make_shared<internal::Server<T>>(Require());
  const Patience patience(changed->deadline_ms);
  std::vector<ObjectRef<std::string>> replies;
  for (const auto& shard : changed->shards) replies.push_back(shard.Task(&Shard<T>::SetWorkers).Remote(workers));
  for (const auto& policy : ray::Get(replies, patience.RemainingMs())) changed->policy = *policy;
  changed->ranks = workers;
  this->set_pointer(changed);
}

template <class T>
std::vector<ShardStats> Parameters<T>::Stats() const {
  const internal::Server<T>& server = Require();
  const Patience patience(server.deadline_ms);
  std::vector<ObjectRef<ShardStats>> replies;
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&Shard<T>::Stats).Remote());
  std::vector<ShardStats> stats;
  while (stats.size() < replies.size()) {
    auto& reply = replies[stats.size()];
    try {
      stats.push_back(*reply.Get(patience.RemainingMs()));
    } catch (const ray::internal::RayActorException&) {
      if (!server.restarts || patience.Over()) throw;
      patience.Sleep();
      reply = server.shards[stats.size()].Task(&Shard<T>::Stats).Remote();
    }
  }
  return stats;
}

template <class T>
void Parameters<T>::Save(const std::string& path) const {
  const internal::Server<T>& server = Require();
  internal::SaveShards<Shard<T>>(server.shards, path, server.deadline_ms);
}

template <class T>
void Parameters<T>::Load(const std::string& path) const {
  const internal::Server<T>& server = Require();
  const Patience patience(server.deadline_ms);
  std::vector<ObjectRef<uint64_t>> read;
  for (const auto& shard : server.shards) read.push_back(shard.Task(&Shard<T>::Load).Remote(path));
  uint64_t version = 0;
  for (const auto& reply : ray::Get(read, patience.RemainingMs())) version = std::max(version, *reply);
  std::vector<ObjectRef<void>> taken;
  for (const auto& shard : server.shards) taken.push_back(shard.Task(&Shard<T>::Commit).Remote(version));
  ray::Get(taken, patience.RemainingMs());
}

// ---- PendingUpdate

// A shard that died under the call starts again. Then the gradient goes to it again, unless that might make it count
// twice: without rounds nobody knows whether the shard had taken it.
template <class T>
ps::Update PendingUpdate<T>::Get() {
  if (server_ == nullptr) throw RayException("this update has ended already: its Get may be called once");
  const Patience patience(server_->deadline_ms);
  ps::Update update;
  update.version = kNoVersion;
  for (size_t i = 0; i < replies_.size();) {
    try {
      const auto reply = replies_[i].Get(patience.RemainingMs());
      update.version = std::min(update.version, reply->version);
      update.staleness = std::max(update.staleness, reply->staleness);
      update.applied = update.applied && reply->applied;
      ++i;
    } catch (const ray::internal::RayActorException& e) {
      if (!server_->restarts || patience.Over()) throw;
      if (server_->has_rounds || server_->replicated || e.retry_safe()) {
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
  pieces_.clear();
  packed_.clear();
  return update;
}

template <class T>
void PendingUpdate<T>::Send(size_t shard) {
  const internal::PushArguments arguments{context_.rank, versions_[shard], context_.sequence, context_.scale};
  const auto& actor = server_->shards[shard];
  if (packed_[shard].empty())
    replies_[shard] = actor.Task(&Shard<T>::Push).Remote(arguments, pieces_[shard]);
  else
    replies_[shard] =
        actor.Task(&Shard<T>::PushPacked)
            .Remote(arguments, internal::WireCompression{server_->compression, server_->share}, packed_[shard]);
}

// ---- Worker

template <class T>
Snapshot<T> Worker<T>::Get() {
  Snapshot<T> snapshot = parameters_.Read(rank_, nullptr, &machines_);
  read_ = snapshot.versions();
  return snapshot;
}

template <class T>
Gradient<T> Worker<T>::NewGradient() const {
  return read_.empty() ? parameters_.NewGradient() : parameters_.NewGradient(read_);
}

template <class T>
ps::Update Worker<T>::Update(Gradient<T>&& gradient) {
  return UpdateAsync(std::move(gradient)).Get();
}

template <class T>
PendingUpdate<T> Worker<T>::UpdateAsync(Gradient<T>&& gradient) {
  const internal::Server<T>& server = parameters_.Require();
  std::vector<std::vector<T>*> residuals;
  if (server.compression != 0 && (server.everywhere || !machines_.empty())) {
    residuals_.resize(server.shards.size());
    residuals.resize(server.shards.size());
    for (size_t i = 0; i < residuals.size(); ++i) {
      if (!server.everywhere && machines_[i] == machine_) continue;
      residuals_[i].resize(server.layout.ShardSize(i));
      residuals[i] = &residuals_[i];
    }
  }
  return parameters_.Push(std::move(gradient), server.ranks > 0 ? rank_ : kNoRank, sequence_++, residuals);
}

template class Parameters<float>;
template class Parameters<double>;
template class Worker<float>;
template class Worker<double>;
template class PendingUpdate<float>;
template class PendingUpdate<double>;

}  // namespace ray::ps
