// Random lives of placement groups on four machines, each a home and a place for the bundles of all homes. Meanwhile
// messages are slow, load reports are old, tasks hold resources of bundles, and machines die. No machine ever gives
// more than it has. A group that its home calls created has each of its bundles committed on the one machine that the
// home names, and on no other, unless that machine has died. In the end everything is back.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

#include "raylet/groups/group_directory.h"
#include "raylet/scheduling/group_bundles.h"
#include "tests/harness/node_number.h"
#include "tests/raylet/scheduling/cpus.h"
#include "tests/raylet/scheduling/random_resources.h"

namespace raylet {
namespace {

using test::kOne;
using test::NodeNumber;
using namespace std::chrono_literals;

constexpr size_t kMachines = 4;

NodeId IdOf(size_t machine) { return NodeNumber(machine + 1); }
size_t NumberOf(const NodeId& id) { return id.data()[0] - 1u; }

struct Answer {
  PlacementGroupId group;
  uint64_t attempt = 0;
  bool committed = false, prepared = false;
};
using Message = std::variant<GroupDecision, Answer>;

class Cluster {
 public:
  explicit Cluster(uint64_t seed) : random_(seed) {
    for (size_t i = 0; i < kMachines; ++i)
      machines_.push_back(std::make_unique<Machine>(
          i, test::RandomResources(random_, {{kCpu, {kOne, 4 * kOne, 8 * kOne}}, {"gpu", {0, 2 * kOne}}})));
    for (const auto& machine : machines_)
      for (size_t other = 0; other < kMachines; ++other)
        if (other != machine->number)
          machine->view.Up(IdOf(other), 1, MachineNumber{static_cast<uint32_t>(other + 1)}, "a", now_);
    for (size_t i = 0; i < kMachines; ++i) Report(i);
  }

  void Step() {
    now_ += 10ms;
    const size_t at = Pick(kMachines);
    Machine& machine = *machines_[at];
    if (!machine.alive) return;
    switch (Pick(12)) {
      case 0:
      case 1: Create(machine); break;
      case 2: Remove(machine); break;
      case 3: Report(at); break;
      case 4: TakeSome(machine); break;
      case 5: GiveSome(machine); break;
      case 6:
        if (deaths_ < 2 && Pick(15) == 0) Die(at);
        break;
      case 7: machine.directory.Tick(now_); break;
      default: DeliverOne(); break;
    }
    for (const auto& each : machines_) Run(*each);
    Check();
  }

  void EndAndCheckThatAllIsBack() {
    for (const auto& machine : machines_) {
      if (!machine->alive) continue;
      for (const auto* group : machine->directory.All())
        if (group->state != GroupState::Removed) {
          const PlacementGroupId id = group->id;
          machine->directory.Remove(id, "the end");
        }
      Run(*machine);
    }
    while (!AllDelivered()) DeliverOne();
    for (const auto& machine : machines_) {
      if (!machine->alive) continue;
      while (!machine->held.empty()) GiveSome(*machine);
      EXPECT_TRUE(machine->bundles.groups().empty());
      for (const auto& line : machine->ledger.lines()) EXPECT_EQ(line.free_units, line.total_units) << line.name;
    }
  }
  size_t created() const { return created_; }
  size_t rescheduled() const { return rescheduled_; }

 private:
  struct Machine {
    Machine(size_t machine_number, const ResourceSet& has)
        : number(machine_number), total(has), ledger(has), view(IdOf(machine_number)), directory(view) {}
    const size_t number;
    const ResourceSet total;
    ResourceLedger ledger;
    GroupBundles bundles{ledger};
    ClusterView view;
    GroupDirectory directory;
    std::deque<Message> inbox[kMachines];  // by sender
    std::vector<ResourceNeeds> held;       // by tasks
    bool alive = true;
  };

  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  void Create(Machine& machine) {
    PlacementGroup group;
    group.id = PlacementGroupId::FromRandom();
    group.id.mutable_data()[0] = static_cast<uint8_t>(machine.number);
    group.strategy = static_cast<wire::PlacementStrategy>(Pick(4));
    for (size_t i = 0; i < 1 + Pick(4); ++i)
      group.bundles.push_back(
          test::RandomResources(random_, {{kCpu, {kOne / 2, kOne, 2 * kOne}}, {"gpu", {0, 0, kOne}}}));
    EXPECT_TRUE(machine.directory.Create(std::move(group), false).has_value());
  }
  void Remove(Machine& machine) {
    std::vector<PlacementGroupId> living;
    for (const auto* group : machine.directory.All())
      if (group->state != GroupState::Removed) living.push_back(group->id);
    if (!living.empty()) machine.directory.Remove(living[Pick(living.size())], "removed");
  }
  void Report(size_t from) {
    const Machine& machine = *machines_[from];
    NodeLoad load;
    for (const auto& line : machine.ledger.lines())
      load.lines.push_back({line.name, line.total_units, line.free_units, 0});
    for (const auto& [id, group] : machine.bundles.groups())
      for (const auto& [index, reserved] : group.bundles) test::AddTo(load.held[group.home], reserved.bundle.resources);
    for (const auto& other : machines_)
      if (other->alive && other->number != from) {
        other->view.Heard(IdOf(from), load, now_);
        other->directory.ClusterChanged();
      }
  }
  // A task in a bundle, or in any of a group.
  void TakeSome(Machine& machine) {
    if (machine.bundles.groups().empty()) return;
    auto group = machine.bundles.groups().begin();
    std::advance(group, Pick(machine.bundles.groups().size()));
    const auto bundle = Pick(2) == 0 ? kAnyBundle : static_cast<int32_t>(Pick(4));
    const auto needs = machine.ledger.Resolve(WithinGroup(test::Cpus(kOne / 2), group->first, bundle));
    if (!machine.ledger.Fits(needs)) return;
    machine.ledger.Take(*needs);
    machine.held.push_back(*needs);
  }
  void GiveSome(Machine& machine) {
    if (machine.held.empty()) return;
    const size_t which = Pick(machine.held.size());
    machine.ledger.Give(machine.held[which]);
    machine.held.erase(machine.held.begin() + static_cast<std::ptrdiff_t>(which));
    machine.bundles.Collect();
  }

  void Send(size_t from, const NodeId& to, Message message) {
    Machine& receiver = *machines_[NumberOf(to)];
    if (receiver.alive) receiver.inbox[from].push_back(std::move(message));
  }
  // The home's decisions; messages to itself are heard at once.
  void Run(Machine& machine) {
    if (!machine.alive) return;
    machine.directory.TryToPlace(machine.ledger, now_);
    for (auto decisions = machine.directory.TakeDecisions(); !decisions.empty();
         decisions = machine.directory.TakeDecisions()) {
      for (GroupDecision& decision : decisions) {
        if (const auto* moved = std::get_if<GroupMoved>(&decision)) {
          const PlacementGroup* const group = machine.directory.Find(moved->group);
          created_ += group != nullptr && group->state == GroupState::Created ? 1 : 0;
          rescheduled_ += group != nullptr && group->state == GroupState::Rescheduling ? 1 : 0;
          continue;
        }
        const NodeId to = std::visit(
            [](const auto& each) {
              if constexpr (requires { each.node; }) return each.node;
              return NodeId();
            },
            decision);
        if (NumberOf(to) == machine.number)
          Hear(machine, machine.number, decision);
        else
          Send(machine.number, to, std::move(decision));
      }
    }
  }
  void Hear(Machine& machine, size_t from, const Message& message) {
    const auto answer = [&](Answer back) {
      if (from == machine.number)
        Hear(machine, from, back);
      else
        Send(machine.number, IdOf(from), back);
    };
    if (const auto* back = std::get_if<Answer>(&message)) {
      if (back->committed)
        machine.directory.Committed(IdOf(from), back->group, back->attempt);
      else
        machine.directory.Prepared(IdOf(from), back->group, back->attempt, back->prepared);
      return;
    }
    const auto& decision = std::get<GroupDecision>(message);
    if (const auto* prepare = std::get_if<PrepareAt>(&decision)) {
      const bool prepared = machine.bundles.Prepare(prepare->group, prepare->attempt, IdOf(from), prepare->bundles);
      answer({prepare->group, prepare->attempt, false, prepared});
    } else if (const auto* commit = std::get_if<CommitAt>(&decision)) {
      if (machine.bundles.Commit(commit->group, commit->attempt)) answer({commit->group, commit->attempt, true, true});
    } else if (const auto* give_back = std::get_if<ReturnAt>(&decision)) {
      if (give_back->attempt != 0)
        machine.bundles.Cancel(give_back->group, give_back->attempt);
      else
        machine.bundles.Close(give_back->group);
    }
  }
  bool AllDelivered() const {
    for (const auto& machine : machines_)
      for (const auto& inbox : machine->inbox)
        if (machine->alive && !inbox.empty()) return false;
    return true;
  }
  void DeliverOne() {
    Machine& machine = *machines_[Pick(kMachines)];
    const size_t from = Pick(kMachines);
    if (!machine.alive || machine.inbox[from].empty()) return;
    const Message message = std::move(machine.inbox[from].front());
    machine.inbox[from].pop_front();
    Hear(machine, from, message);
    Run(machine);
  }
  // The others hear of it, and of nothing more that it had sent.
  void Die(size_t which) {
    ++deaths_;
    machines_[which]->alive = false;
    for (const auto& other : machines_) {
      if (!other->alive) continue;
      other->inbox[which].clear();
      other->view.Dead(IdOf(which));
      other->directory.ClusterChanged();
      other->directory.MachineLost(IdOf(which));
      for (const PlacementGroupId& group : other->bundles.OfHome(IdOf(which))) {
        other->bundles.Cancel(group, other->bundles.groups().at(group).attempt);
        other->bundles.Close(group);
      }
    }
  }

  void Check() {
    for (const auto& machine : machines_) {
      ResourceSet reserved;
      for (const auto& [id, group] : machine->bundles.groups())
        for (const auto& [index, each] : group.bundles) test::AddTo(reserved, each.bundle.resources);
      for (const auto& line : machine->ledger.lines()) {
        ASSERT_GE(line.free_units, 0) << line.name;
        ASSERT_EQ(line.free_units + reserved.units(line.name), line.total_units) << line.name;
      }
      if (!machine->alive) continue;
      for (const auto* group : machine->directory.All()) {
        if (group->state != GroupState::Created) continue;
        for (uint32_t i = 0; i < group->bundles.size(); ++i) {
          const Machine& place = *machines_[NumberOf(group->places[i])];
          if (!place.alive) continue;
          const auto found = place.bundles.groups().find(group->id);
          ASSERT_NE(found, place.bundles.groups().end());
          ASSERT_TRUE(found->second.bundles.contains(i));
          ASSERT_TRUE(found->second.bundles.at(i).committed);
          for (const auto& other : machines_) {
            if (other.get() == &place || !other->alive) continue;
            const auto twice = other->bundles.groups().find(group->id);
            ASSERT_TRUE(twice == other->bundles.groups().end() || !twice->second.bundles.contains(i) ||
                        !twice->second.bundles.at(i).committed);
          }
        }
      }
    }
  }

  std::mt19937_64 random_;
  TimePoint now_{1h};
  std::vector<std::unique_ptr<Machine>> machines_;
  size_t created_ = 0, rescheduled_ = 0;
  int deaths_ = 0;
};

TEST(PlacementGroups, RandomLivesNeverGiveMoreThanThereIsAndAllComesBack) {
  size_t created = 0, rescheduled = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed);
    for (int i = 0; i < 700 && !::testing::Test::HasFatalFailure(); ++i) cluster.Step();
    if (::testing::Test::HasFatalFailure()) return;
    cluster.EndAndCheckThatAllIsBack();
    created += cluster.created();
    rescheduled += cluster.rescheduled();
  }
  EXPECT_GT(created, 500u);
  EXPECT_GT(rescheduled, 3u);
}

}  // namespace
}  // namespace raylet
