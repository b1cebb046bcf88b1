#include "client/parameter_server/table_server.h"

#include <variant>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/option_checks.h"
#include "client/parameter_server/placement.h"
#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/removal.h"
#include "client/parameter_server/table_replica.h"
#include "client/parameter_server/table_shard.h"

namespace ray::ps::internal {
namespace {

using ray::internal::RayException;

void CheckShards(size_t shards) {
  if (shards == 0) throw RayException("a table in 0 shards was asked for: a server has 1 shard or more");
}

// A shard takes each part of a push as a whole. So the old shards have nothing to agree on: each new one takes the rows
// of its keys from all of them, and knows which parts count.
template <class K, class T>
class TableRemoval : public Removal<TableServer<K, T>> {
  using Actor = TableShard<K, T>;
  using Base = Removal<TableServer<K, T>>;

 public:
  TableRemoval(const TableServer<K, T>& before, size_t wanted)
      : Base(before, wanted, before.options->options.round_deadline.count()) {}

 private:
  std::shared_ptr<TableServer<K, T>> Start() const override {
    TableOptions options = *this->old().options;
    options.options = ForShards(options.options, this->shards());
    return StartTable<K, T>(this->old().row_size, options, true);
  }

  void Copy(const TableServer<K, T>& next) const override {
    const Patience loaders_patience = this->WorkerPatience();
    for (const auto& shard : this->old().shards)
      while (!*this->Ask(shard, [&] { return shard.Task(&Actor::Close).Remote(this->resize()); }) &&
             !loaders_patience.Over())
        loaders_patience.Sleep();
    TableInheritance<K, T> inheritance;
    for (const auto& shard : this->old().shards)
      inheritance.states.push_back(shard.Task(&Actor::Export).Remote(uint64_t{this->shards()}));
    std::vector<ObjectRef<void>> inherited;
    for (const auto& shard : next.shards) inherited.push_back(shard.Task(&Actor::Inherit).Remote(inheritance));
    AnswersOf(inherited, kResize, this->patience());
  }
};

}  // namespace

template <class K, class T>
std::shared_ptr<TableServer<K, T>> StartTable(size_t row_size, const TableOptions& table_options, bool inherits) {
  const Options& options = table_options.options;
  if (row_size == 0) throw RayException("rows of 0 elements were asked for: a row has 1 element or more");
  CheckShards(options.shards);
  if (!std::holds_alternative<Async>(options.policy))
    throw RayException("the policy " + TextOf(options.policy) + " was asked for, and a table has Async{} alone");
  CheckSafety(options);
  CheckNumbers(options);
  if (options.compression.kind != Compression::Kind::kNone)
    throw RayException("a table's gradients are not compressed: leave Options::compression out");
  CheckDeadline(options.deadline);
  CheckPlacement(options);
  static_cast<void>(RuleOfOptimizer(options.optimizer));  // throws for an unknown one
  auto server = std::make_shared<TableServer<K, T>>();
  server->options = std::make_shared<const TableOptions>(table_options);
  server->row_size = row_size;
  server->refuse_nan = options.refuse_nan;
  server->clip_norm = options.clip.norm;
  server->deadline_ms = options.deadline.count();
  TableSetup setup;
  setup.shards = options.shards;
  setup.row_size = row_size;
  setup.optimizer = {{options.optimizer}, WireSchedule::Of(options.schedule), options.clip.value};
  setup.initializer = static_cast<int>(table_options.initializer.kind);
  setup.first = table_options.initializer.first;
  setup.second = table_options.initializer.second;
  setup.seed = table_options.initializer.seed;
  setup.min_count = table_options.filter.min_count;
  setup.expire_after = table_options.filter.expire_after;
  setup.checkpoint = options.checkpoint.path;
  setup.checkpoint_every = options.checkpoint.every;
  setup.run = RandomNumber();
  setup.inherits = inherits;
  server->replicated = options.replicas > 0;
  server->restarts = server->replicated || !options.checkpoint.path.empty();
  for (setup.index = 0; setup.index < options.shards; ++setup.index) {
    std::vector<ActorHandle<TableReplica<K, T>>> replica;
    if (server->replicated) {
      replica.push_back(ray::Actor(TableReplica<K, T>::Create)
                            .SetResources(ResourcesOf(options, (setup.index + 1) % setup.shards))
                            .SetMaxRestarts(-1)
                            .Remote(setup));
      server->replicas.push_back(replica[0]);
    }
    server->shards.push_back(ray::Actor(TableShard<K, T>::Create)
                                 .SetResources(ResourcesOf(options, setup.index))
                                 .SetMaxRestarts(server->restarts ? -1 : 0)
                                 .Remote(setup, replica));
    if (server->replicated) Introduce(server->shards.back());
  }
  server->home = server->shards[0];
  return server;
}

template <class K, class T>
std::shared_ptr<const TableServer<K, T>> ResizedTable(const TableServer<K, T>& old, size_t shards) {
  if (old.options == nullptr) ThrowNotTheOwner(TableServer<K, T>::kContent);
  CheckShards(shards);
  TableRemoval<K, T> removal(old, shards);
  return Conduct(removal);
}

#define FOR_TABLES(K, T)                                                                     \
  template std::shared_ptr<TableServer<K, T>> StartTable(size_t, const TableOptions&, bool); \
  template std::shared_ptr<const TableServer<K, T>> ResizedTable(const TableServer<K, T>&, size_t);
FOR_TABLES(uint64_t, float)
FOR_TABLES(uint64_t, double)
FOR_TABLES(std::string, float)
FOR_TABLES(std::string, double)
#undef FOR_TABLES

}  // namespace ray::ps::internal
