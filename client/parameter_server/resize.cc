// A Resize of dense parameters: how the shards agree on the gradients that they have, and what each new one copies.
#include <algorithm>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/agreement.h"
#include "client/parameter_server/removal.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {
namespace {

template <class T>
class ParameterRemoval : public Removal<Server<T>> {
 public:
  ParameterRemoval(const Server<T>& before, size_t wanted)
      : Removal<Server<T>>(before, wanted, before.options->round_deadline.count()) {}

 private:
  using Removal<Server<T>>::Ask;
  using Removal<Server<T>>::old;
  using Removal<Server<T>>::patience;
  using Removal<Server<T>>::shards;

  std::shared_ptr<Server<T>> Start() const override {
    Layout layout = SplitEvenly(old().layout->size(), shards());
    layout.tensors = old().layout->tensors;
    auto next = StartServer<T>(std::move(layout), {}, ForShards(*old().options, shards()), true);
    next->ranks = old().ranks;
    next->policy = old().policy;
    return next;
  }

  void Copy(const Server<T>& next) const override { Fill(Settle(), next); }

  // Afterwards a gradient is in all shards or in none. A worker whose gradient comes in parts, too far apart, is left
  // behind.
  std::vector<ClosedReply> Settle() const {
    std::vector<ClosedReply> closed;
    for (const auto& shard : old().shards)
      closed.push_back(*Ask(shard, [&] { return shard.Task(&Shard<T>::Close).Remote(this->resize()); }));
    const std::vector<uint64_t> others_have = NewestOf(closed);
    const Patience worker_patience = this->WorkerPatience();
    uint64_t version = 0;
    for (;;) {
      uint64_t missing = 0;
      for (const auto& shard : old().shards) {
        const auto reply = Ask(shard, [&] { return shard.Task(&Shard<T>::Admit).Remote(others_have); });
        if (!reply->forgetful) missing += reply->missing;
        version = std::max(version, reply->version);
      }
      if (missing == 0 || worker_patience.Over()) break;
      worker_patience.Sleep();
    }
    closed.clear();
    for (const auto& shard : old().shards)
      closed.push_back(*Ask(shard, [&] { return shard.Task(&Shard<T>::Settle).Remote(version); }));
    return closed;
  }

  void Fill(const std::vector<ClosedReply>& closed, const Server<T>& next) const {
    std::vector<ObjectRef<ShardState<T>>> states;
    for (const auto& shard : old().shards) states.push_back(shard.Task(&Shard<T>::Export).Remote());
    Agreement agreement = AgreementOf(closed);
    Inheritance<T> common;
    common.version = agreement.version;
    common.recent = std::move(agreement.recent);
    common.partial = std::move(agreement.partial);
    common.ranks = std::move(agreement.ranks);
    const Layout& from = *old().layout;
    const Layout& to = *next.layout;
    std::vector<ObjectRef<void>> inherited;
    for (size_t i = 0; i < shards(); ++i) {
      Inheritance<T> inheritance = common;
      inheritance.begin = to.offsets[i];
      for (size_t k = from.ShardOf(inheritance.begin); k <= from.ShardOf(to.offsets[i + 1] - 1); ++k) {
        inheritance.offsets.push_back(from.offsets[k]);
        inheritance.states.push_back(states[k]);
      }
      inherited.push_back(next.shards[i].Task(&Shard<T>::Inherit).Remote(inheritance));
    }
    AnswersOf(inherited, kResize, patience());
  }
};

}  // namespace

template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards) {
  if (old.options == nullptr) ThrowNotTheOwner(Server<T>::kContent);
  static_cast<void>(SplitEvenly(old.layout->size(), shards));  // throws for a number that cannot be
  ParameterRemoval<T> removal(old, shards);
  return Conduct(removal);
}

template std::shared_ptr<const Server<float>> Resized(const Server<float>&, size_t);
template std::shared_ptr<const Server<double>> Resized(const Server<double>&, size_t);

}  // namespace ray::ps::internal
