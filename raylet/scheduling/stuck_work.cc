#include "raylet/scheduling/stuck_work.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/counted.h"
#include "base/strings.h"
#include "raylet/scheduling/bundle_resources.h"

namespace raylet {
namespace {

// The most that one machine has of a resource, free or not.
int64_t LargestTotal(const std::string& name, const ResourceLedger& here, const ClusterView& view) {
  int64_t most = 0;
  for (const auto& line : here.lines())
    if (line.name == name) most = std::max(most, line.total_units);
  for (const auto& [id, node] : view.nodes()) {
    if (node.state == NodeState::kDead) continue;
    for (const auto& line : node.load.lines)
      if (line.name == name) most = std::max(most, line.total_units);
  }
  return most;
}

// The flag that starts a raylet with so much of this resource.
std::string FlagFor(const std::string& name, int64_t units) {
  if (name == kCpu) return StrCat("--num-cpus ", FormatUnits(name, units));
  const std::string quoted = nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return StrCat("--resources '{", quoted, ": ", FormatUnits(name, units), "}'");
}

// Tasks of one job that wait for the same resources.
struct Group {
  size_t tasks = 0;
  size_t actors = 0;
  uint64_t oldest = ~uint64_t{0};
  int64_t units_min = 0;
  int64_t units_max = 0;

  void Add(const TaskShape& shape, int64_t units) {
    const bool first = tasks + actors == 0;
    (shape.dedicated ? actors : tasks) += shape.tasks.size();
    oldest = std::min(oldest, shape.tasks.front()->sequence);
    units_min = first ? units : std::min(units_min, units);
    units_max = std::max(units_max, units);
  }
  std::string Who() const {
    const auto count = [](size_t n, const char* what) { return n == 0 ? "" : Counted(n, what); };
    const char* const verb = tasks + actors == 1 ? " waits" : " wait";
    return StrCat(count(tasks, "task"), tasks > 0 && actors > 0 ? " and " : "", count(actors, "actor"), verb);
  }
  std::string Amount(const std::string& name) const {
    return StrCat(units_min < units_max ? "up to " : "", FormatUnits(name, units_max));
  }
};

class Finder {
 public:
  Finder(JobId job, const Scheduler& scheduler, const ClusterView& view)
      : job_(job), scheduler_(scheduler), view_(view) {}

  void Look(const TaskShape& shape) {
    if (!shape.needs.has_value()) return LookAtOtherMachines(shape);
    if (!scheduler_.ledger().Fits(*shape.needs)) return;  // resources in use come back
    const auto full = scheduler_.WhyPoolIsFull(shape);
    if (!full) return;
    pool_.Add(shape, 0);
    why_pool_ = *full;
  }

  std::vector<StuckCause> Causes() const {
    std::vector<StuckCause> causes;
    for (const auto& [name, group] : missing_) causes.push_back(Missing(name, group));
    for (const auto& [names, group] : together_) {
      causes.push_back({job_, names,
                        StrCat(group.Who(), " for ", names,
                               ", which no machine has together: start a raylet with all of it, or ask for less with "
                               "SetResource"),
                        group.oldest});
    }
    for (const auto& [request, group] : in_groups_) {
      causes.push_back({job_, request,
                        StrCat(group.Who(), " for ", request, ", which has not reserved as much, or is not created: ",
                               "ask for less, or wait until the group is created"),
                        group.oldest});
    }
    if (pool_.tasks + pool_.actors > 0) {
      causes.push_back({job_, "",
                        StrCat(pool_.Who(), " for a worker process, and ", why_pool_,
                               ": raise the raylet's --max-workers, or end actors that nobody needs"),
                        pool_.oldest, /*may_pass=*/true});
    }
    if (causes.size() > kStuckCausesMax) causes.resize(kStuckCausesMax);
    return causes;
  }

 private:
  void LookAtOtherMachines(const TaskShape& shape) {
    for (const auto& [id, node] : view_.nodes())
      if (view_.Feasible(node, shape.resources)) return;
    if (!shape.tasks.front()->task->placement_group.IsNil())
      return in_groups_[DescribeRequest(shape.resources)].Add(shape, 0);
    for (const auto& amount : shape.resources.amounts()) {
      if (LargestTotal(amount.name, scheduler_.ledger(), view_) >= amount.units) continue;
      missing_[amount.name].Add(shape, amount.units);
      return;
    }
    together_[shape.resources.ToString()].Add(shape, 0);
  }

  StuckCause Missing(const std::string& name, const Group& group) const {
    const int64_t most = LargestTotal(name, scheduler_.ledger(), view_);
    const std::string has =
        most == 0 ? ", which no machine has" : StrCat(", and no machine has more than ", FormatUnits(name, most));
    const char* const remedy = most == 0 ? "take SetResource away" : "ask for less with SetResource";
    return {job_, name,
            StrCat(group.Who(), " for ", group.Amount(name), " of the resource \"", name, "\"", has,
                   ": start a raylet with ", FlagFor(name, group.units_max), ", or ", remedy),
            group.oldest};
  }

  const JobId job_;
  const Scheduler& scheduler_;
  const ClusterView& view_;
  std::map<std::string, Group> missing_;    // by the resource
  std::map<std::string, Group> together_;   // keyed by the whole request
  std::map<std::string, Group> in_groups_;  // keyed likewise: within placement groups
  Group pool_;
  std::string why_pool_;
};

}  // namespace

std::vector<StuckCause> FindStuckCauses(const Scheduler& scheduler, const ClusterView& view) {
  std::vector<StuckCause> all;
  for (const JobId job : scheduler.queue().jobs()) {
    Finder finder(job, scheduler, view);
    for (const auto& shape : scheduler.queue().shapes(job)) finder.Look(*shape);
    for (StuckCause& cause : finder.Causes()) all.push_back(std::move(cause));
  }
  return all;
}

std::vector<StuckWork::Notice> StuckWork::Look(const std::vector<StuckCause>& causes, TimePoint now) {
  std::vector<Notice> notices;
  for (const StuckCause& cause : causes) {
    const auto [entry, is_new] = causes_.try_emplace({cause.job, cause.what}, Known{now, now, cause.oldest});
    Known& known = entry->second;
    known.seen = now;
    if (!is_new && cause.may_pass && !known.told && cause.oldest != known.oldest) known.since = now;
    known.oldest = cause.oldest;
    if (known.told || now - known.since < kStuckAfter) continue;
    known.told = true;
    notices.push_back({cause.job, cause.sentence});
  }
  // A cause that was not told yet must last anew. A cause that was told must be absent for as long.
  std::erase_if(causes_, [now](const auto& entry) {
    const Known& known = entry.second;
    return known.told ? now - known.seen >= kStuckAfter : known.seen != now;
  });
  return notices;
}

}  // namespace raylet
