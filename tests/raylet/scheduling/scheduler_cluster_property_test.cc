// Random lives of three machines' schedulers that send each other tasks and actors. Meanwhile messages are slow.
// Machines report their load late, refuse tasks, recall tasks that they sent ahead, and die. Every task whose machine
// lives ends exactly once, at its own machine. A task runs only on a machine that has all that it asks for, and no
// resource is given twice. Tasks that ask for what no machine has never run.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/node_number.h"
#include "tests/harness/seeded_id.h"
#include "tests/raylet/scheduling/cpus.h"
#include "tests/raylet/scheduling/no_places.h"
#include "tests/raylet/scheduling/random_resources.h"

namespace raylet {
namespace {

using test::kOne;
using test::NoPlaces;

constexpr size_t kMachines = 3;
constexpr const char* kPins[kMachines] = {"pin0", "pin1", "pin2"};  // each machine has its own alone

NodeId IdOf(size_t machine) { return test::NodeNumber(machine + 1); }
size_t MachineOf(const NodeId& id) { return id.data()[0] - 1u; }

class Cluster {
 public:
  explicit Cluster(uint64_t seed) : random_(seed) {
    for (size_t i = 0; i < kMachines; ++i) machines_.push_back(std::make_unique<Machine>(i, RandomTotal(i)));
    for (size_t i = 0; i < kMachines; ++i)
      for (size_t k = 0; k < kMachines; ++k)
        if (i != k) machines_[i]->view.Up(IdOf(k), 1, MachineNumber{static_cast<uint32_t>(k + 1)}, "10.0.0.1:1", {});
  }

  void Step() {
    const size_t i = Pick(kMachines);
    if (!machines_[i]->alive) return;
    switch (Pick(15)) {
      case 0:
      case 1:
      case 2: Submit(i); break;
      case 3:
      case 4: Report(i); break;
      case 5:
      case 6: StartOne(i); break;
      case 7:
      case 8: FinishOne(i); break;
      case 9: KillWorker(i); break;
      case 10: DeliverSome(); break;
      case 11:
        if (Pick(60) == 0) Die(i);
        break;
      case 12: AnswerRecall(i); break;
      case 13:
        if (Pick(3) == 0) Rush(i);
        break;
      case 14:
        if (Pick(2) == 0) machines_[i]->scheduler.Tick();
        break;
    }
    SettleAll();
  }

  void Drain() {
    for (int round = 0; round < 20'000 && !AllEnded(); ++round) {
      for (size_t i = 0; i < kMachines; ++i)
        if (machines_[i]->alive) CancelWhatCanNeverRun(i);
      for (size_t i = 0; i < kMachines; ++i) {
        if (!machines_[i]->alive) continue;
        Report(i);
        StartOne(i);
        FinishOne(i);
        AnswerRecall(i);
        machines_[i]->scheduler.Tick();
        const auto stopping = machines_[i]->stopping;
        for (const WorkerId worker : stopping) WorkerDies(i, worker);
        const auto hosting = machines_[i]->hosting;
        for (const auto& entry : hosting) WorkerDies(i, entry.first);
      }
      DeliverSome();
      SettleAll();
    }
    for (const auto& machine : machines_) {
      if (!machine->alive) continue;
      EXPECT_TRUE(machine->live.empty()) << machine->live.size() << " tasks never ended";
      EXPECT_EQ(machine->scheduler.tasks(), 0u);
      for (const auto& [id, node] : machine->view.nodes()) {
        if (node.state == NodeState::kUp) {
          EXPECT_EQ(node.in_flight_tasks, 0u);
        }
      }
    }
  }

  size_t ahead() const { return ahead_; }
  size_t recalled() const { return recalled_; }
  size_t cancelled() const { return cancelled_; }

 private:
  struct Machine {
    Machine(size_t number, const ResourceSet& all)
        : total(all), view(IdOf(number)), scheduler(total, SchedulerLimits()) {
      scheduler.JoinCluster(view, places);
    }
    const ResourceSet total;
    ClusterView view;
    NoPlaces places;
    Scheduler scheduler;
    bool alive = true;
    std::map<TaskId, TaskPtr> live;  // submitted here, and have not ended
    std::set<WorkerId> starting, stopping;
    std::map<WorkerId, std::deque<TaskPtr>> busy;  // the first is running, the others are ahead
    std::map<WorkerId, std::vector<TaskId>> recalls;
    std::map<WorkerId, TaskPtr> hosting;  // an actor that has been constructed
  };
  // Messages between two machines stay in order, but arrive at random times.
  struct Message {
    enum class What { kRun, kDone, kReturn, kCancel, kReport, kLeft, kRecall, kRecalled } what;
    TaskPtr task;
    TaskId id;
    NodeLoad load;
    bool succeeded = false;
    std::vector<TaskId> tasks = {};
  };

  size_t Pick(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  void Send(size_t from, size_t to, Message message) { wires_[{from, to}].push_back(std::move(message)); }

  ResourceSet RandomTotal(size_t machine) {
    ResourceSet total =
        test::RandomResources(random_, {{kCpu, {0, kOne, 2 * kOne, 2 * kOne}}, {kGpu, {0, kOne, 2 * kOne}}});
    total.Accumulate(kPins[machine], 4 * kOne);
    return total;
  }

  // Half of them are pinned to one machine; one in eight asks for what none has.
  ResourceSet Request() {
    ResourceSet request = test::RandomResources(
        random_, {{kCpu, {0, kOne, kOne, kOne, 2 * kOne}}, {kGpu, {0, 0, 0, 0, 0, kOne / 2, 6 * kOne / 10}}});
    if (Pick(2) == 0) request.Accumulate(kPins[Pick(kMachines)], kOne);
    if (Pick(8) == 0) request.Accumulate("tape", kOne);
    return request;
  }

  void CancelWhatCanNeverRun(size_t i) {
    std::erase_if(machines_[i]->live, [&](const auto& entry) {
      if (std::any_of(machines_.begin(), machines_.end(), [&](const auto& machine) {
            return machine->alive && test::Meets(machine->total, entry.second->resources);
          }))
        return false;
      EXPECT_TRUE(machines_[i]->scheduler.Cancel(entry.first)) << "it runs, or was sent to a worker";
      ++cancelled_;
      return true;
    });
  }

  void Submit(size_t i) {
    auto task = std::make_shared<Task>();
    task->id = test::SeededId<TaskId>(ids_);
    task->job = 1;
    task->owner = ProcessIdOf(MachineNumber{static_cast<uint32_t>(i + 1)}, 1);
    task->resources = Request();
    task->max_retries = static_cast<int32_t>(Pick(3));
    if (Pick(5) == 0) {
      task->actor = ActorSettings{};
      task->actor->id = test::SeededId<ActorId>(ids_);
      task->max_retries = 0;
    }
    machines_[i]->live.emplace(task->id, task);
    ASSERT_TRUE(machines_[i]->scheduler.Submit(task).has_value());
  }

  void Report(size_t i) {
    Machine& machine = *machines_[i];
    NodeLoad load;
    for (const auto& line : machine.scheduler.ledger().lines())
      load.lines.push_back({line.name, line.total_units, line.free_units});
    for (const auto& [node, work] : machine.scheduler.WorkByMachine()) {
      for (const auto& [name, units] : work.units) load.held[node].Accumulate(name, units);
      for (auto& line : load.lines)
        if (const auto queued = work.queued_units.find(line.name); queued != work.queued_units.end())
          line.queued_units += queued->second;
    }
    for (size_t k = 0; k < kMachines; ++k)
      if (k != i) Send(i, k, {Message::What::kReport, nullptr, {}, load, false});
  }

  void StartOne(size_t i) {
    Machine& machine = *machines_[i];
    if (machine.starting.empty()) return;
    const WorkerId worker = *machine.starting.begin();
    machine.starting.erase(worker);
    machine.scheduler.WorkerReady(worker, 0);
  }

  void FinishOne(size_t i) {
    Machine& machine = *machines_[i];
    if (machine.busy.empty()) return;
    const auto run = std::next(machine.busy.begin(), static_cast<std::ptrdiff_t>(Pick(machine.busy.size())));
    const WorkerId worker = run->first;
    const TaskPtr task = run->second.front();
    run->second.pop_front();
    if (run->second.empty()) machine.busy.erase(run);
    const bool succeeded = !task->CreatesActor() || Pick(3) != 0;
    ASSERT_TRUE(machine.scheduler.TaskFinished(worker, task->id, succeeded).has_value());
    if (task->CreatesActor() && succeeded) machine.hosting.emplace(worker, task);
    EndAt(i, task, succeeded);
  }

  // Many short tasks, so that work is sent ahead.
  void Rush(size_t i) {
    for (int times = 0; times < 12; ++times) {
      if (!machines_[i]->alive) return;
      Submit(i);
      for (size_t k = 0; k < kMachines; ++k) {
        if (!machines_[k]->alive) continue;
        StartOne(k);
        FinishOne(k);
      }
      DeliverSome();
      SettleAll();
      if (times % 4 == 3) machines_[i]->scheduler.Tick();
    }
  }

  // A worker gives back what it was asked for and has not started.
  void AnswerRecall(size_t i) {
    Machine& machine = *machines_[i];
    if (machine.recalls.empty()) return;
    const auto [worker, wanted] = *machine.recalls.begin();
    machine.recalls.erase(worker);
    auto& queue = machine.busy[worker];
    std::vector<TaskId> back;
    for (const TaskId& id : wanted) {
      const auto at = std::find_if(queue.begin(), queue.end(), [&](const TaskPtr& task) { return task->id == id; });
      if (at == queue.end() || at == queue.begin()) continue;
      back.push_back(id);
      queue.erase(at);
    }
    if (queue.empty()) machine.busy.erase(worker);
    ASSERT_TRUE(machine.scheduler.WorkerGaveBack(worker, back).has_value());
  }

  // The task ended, or was lost, at machine i. Its own machine hears of that.
  void EndAt(size_t i, const TaskPtr& task, bool succeeded) {
    if (!task->IsRemote())
      End(i, task->id);
    else
      Send(i, MachineOf(task->from), {Message::What::kDone, nullptr, task->id, {}, succeeded});
  }
  void End(size_t i, const TaskId& id) { ASSERT_EQ(machines_[i]->live.erase(id), 1u) << "a task ended twice"; }

  void KillWorker(size_t i) {
    Machine& machine = *machines_[i];
    if (machine.scheduler.workers().empty()) return;
    auto worker = machine.scheduler.workers().begin();
    std::advance(worker, static_cast<std::ptrdiff_t>(Pick(machine.scheduler.workers().size())));
    WorkerDies(i, worker->first);
  }
  void WorkerDies(size_t i, WorkerId worker) {
    machines_[i]->starting.erase(worker);
    machines_[i]->stopping.erase(worker);
    machines_[i]->busy.erase(worker);
    machines_[i]->recalls.erase(worker);
    machines_[i]->scheduler.WorkerGone(worker);
    const auto hosting = machines_[i]->hosting.extract(worker);
    if (!hosting.empty() && hosting.mapped()->IsRemote())
      Send(i, MachineOf(hosting.mapped()->from), {Message::What::kLeft, hosting.mapped(), {}, {}, false});
  }

  void Die(size_t i) {
    size_t living = 0;
    for (const auto& machine : machines_) living += machine->alive ? 1 : 0;
    if (living == 1) return;
    machines_[i]->alive = false;
    for (size_t k = 0; k < kMachines; ++k) {
      if (!machines_[k]->alive) continue;
      // Messages under way from the dead machine are lost or come late. Late ones must change nothing.
      if (Pick(2) == 0) wires_[{i, k}].clear();
      machines_[k]->view.Dead(IdOf(i));
      for (const WorkerId worker : machines_[k]->scheduler.MachineLost(IdOf(i))) WorkerDies(k, worker);
    }
  }

  void DeliverSome() {
    for (auto& [way, queue] : wires_) {
      for (size_t count = Pick(4); count > 0 && !queue.empty(); --count) {
        const Message message = std::move(queue.front());
        queue.pop_front();
        if (machines_[way.second]->alive) Deliver(way.first, way.second, message);
      }
    }
  }

  void Deliver(size_t from, size_t to, const Message& message) {
    Machine& machine = *machines_[to];
    switch (message.what) {
      case Message::What::kRun: {
        if (!machines_[from]->alive) return;  // its session is over
        if (Pick(5) == 0) return Send(to, from, {Message::What::kReturn, nullptr, message.task->id, {}, false});
        auto task = std::make_shared<Task>(*message.task);
        task->from = IdOf(from);
        task->job = static_cast<JobId>(10 + from);
        ASSERT_TRUE(test::Meets(machine.total, task->resources))
            << task->resources.ToString() << " was sent to who has " << machine.total.ToString();
        ASSERT_TRUE(machine.scheduler.Submit(std::move(task)).has_value());
        return;
      }
      case Message::What::kDone:
        if (machine.scheduler.ForwardedFinished(IdOf(from), message.id, message.succeeded) != nullptr)
          End(to, message.id);
        return;
      case Message::What::kLeft: machine.scheduler.ActorLeft(IdOf(from), message.task->actor->id); return;
      case Message::What::kReturn: machine.scheduler.ForwardedReturned(IdOf(from), message.id); return;
      case Message::What::kCancel: return;
      case Message::What::kRecall:
        if (machines_[from]->alive) machine.scheduler.RecalledBy(IdOf(from));
        return;
      case Message::What::kRecalled:
        recalled_ += message.tasks.size();
        machine.scheduler.NodeGaveBack(IdOf(from), message.tasks);
        return;
      case Message::What::kReport:
        machine.view.Heard(IdOf(from), message.load, {});
        machine.scheduler.ClusterChanged();
        return;
    }
  }

  void SettleAll() {
    for (size_t i = 0; i < kMachines; ++i)
      if (machines_[i]->alive) Settle(i);
  }
  void Settle(size_t i) {
    Machine& machine = *machines_[i];
    std::vector<WorkerId> doomed;
    for (const auto& decision : machine.scheduler.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) {
        machine.starting.insert(start->worker);
      } else if (const auto* run = std::get_if<RunTask>(&decision)) {
        ASSERT_TRUE(test::Meets(machine.total, run->task->resources))
            << run->task->resources.ToString() << " runs on " << machine.total.ToString();
        ASSERT_EQ(machine.busy.contains(run->worker), run->ahead);
        if (run->ahead) {
          ASSERT_EQ(machine.busy[run->worker].back()->resources, run->task->resources) << "it inherits something else";
        }
        machine.busy[run->worker].push_back(run->task);
      } else if (const auto* recall = std::get_if<RecallFromWorker>(&decision)) {
        if (!machine.scheduler.workers().contains(recall->worker)) continue;  // it died meanwhile
        ASSERT_FALSE(machine.recalls.contains(recall->worker));
        machine.recalls[recall->worker] = recall->tasks;
      } else if (const auto* kill = std::get_if<raylet::KillWorker>(&decision)) {
        doomed.push_back(kill->worker);
      } else if (const auto* stop = std::get_if<StopWorker>(&decision)) {
        machine.stopping.insert(stop->worker);
      } else if (const auto* forward = std::get_if<ForwardTask>(&decision)) {
        ASSERT_FALSE(forward->task->IsRemote()) << "a task travels on";
        ASSERT_TRUE(machines_[MachineOf(forward->node)]->alive);
        Send(i, MachineOf(forward->node), {Message::What::kRun, forward->task, {}, {}, false});
        if (InFlight(machine, forward->node) > 2 * kOne) ++ahead_;
      } else if (const auto* recall_there = std::get_if<RecallForwarded>(&decision)) {
        Send(i, MachineOf(recall_there->node), {Message::What::kRecall, nullptr, {}, {}, false});
      } else if (const auto* returned = std::get_if<ReturnRecalled>(&decision)) {
        Send(i, MachineOf(returned->node), {Message::What::kRecalled, nullptr, {}, {}, false, returned->tasks});
      } else if (const auto* lost = std::get_if<LoseTask>(&decision)) {
        EndAt(i, lost->task, false);
      }
    }
    ResourceSet used;
    for (const auto& [worker, tasks] : machine.busy) test::AddTo(used, tasks.front()->resources);
    for (const auto& [worker, creation] : machine.hosting) test::AddTo(used, creation->resources);
    ASSERT_TRUE(test::Meets(machine.total, used)) << used.ToString() << " run on " << machine.total.ToString();
    for (const auto& line : machine.scheduler.ledger().lines()) {
      ASSERT_GE(line.free_units, 0) << line.name;
      ASSERT_LE(line.free_units + used.units(line.name), line.total_units) << line.name;
    }
    for (const WorkerId worker : doomed) WorkerDies(i, worker);
  }

  // CPUs of one machine's work at another: more than it has means that some was sent ahead.
  static int64_t InFlight(const Machine& machine, const NodeId& node) {
    return machine.view.Find(node)->in_flight.units(kCpu);
  }

  bool AllEnded() const {
    for (const auto& machine : machines_)
      if (machine->alive && !machine->live.empty()) return false;
    for (const auto& machine : machines_)
      if (machine->alive && (machine->scheduler.tasks() > 0 || !machine->hosting.empty())) return false;
    for (const auto& [way, wire] : wires_)
      if (machines_[way.first]->alive && machines_[way.second]->alive &&
          std::any_of(wire.begin(), wire.end(), [](const Message& each) { return each.what == Message::What::kLeft; }))
        return false;
    return true;
  }

  std::mt19937_64 random_, ids_{1};
  std::vector<std::unique_ptr<Machine>> machines_;
  std::map<std::pair<size_t, size_t>, std::deque<Message>> wires_;
  size_t ahead_ = 0, recalled_ = 0, cancelled_ = 0;
};

TEST(SchedulerClusterProperty, EveryTaskOfALivingMachineEndsOnceAndRunsOnlyWhereItsResourcesAre) {
  size_t ahead = 0, recalled = 0, cancelled = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed);
    for (int step = 0; step < 500 && !testing::Test::HasFatalFailure(); ++step) cluster.Step();
    cluster.Drain();
    if (testing::Test::HasFailure()) return;
    ahead += cluster.ahead();
    recalled += cluster.recalled();
    cancelled += cluster.cancelled();
  }
  EXPECT_GT(ahead, 200u);
  EXPECT_GT(recalled, 50u);
  EXPECT_GT(cancelled, 500u);
}

}  // namespace
}  // namespace raylet
