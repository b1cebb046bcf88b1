// TaskTable: every task that has not ended, with its owner and the objects that it waits for, within the limits of its
// job. Pure; the raylet's loop thread. Always holds: a task is in here from its submission to its one end; its address
// stays the same. In a cluster an object that tasks wait for is kept here until none of them needs it here any more.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "raylet/scheduling/decisions.h"
#include "raylet/scheduling/dependency_tracker.h"
#include "raylet/scheduling/job_room.h"
#include "raylet/scheduling/object_places.h"
#include "raylet/scheduling/scheduler_limits.h"
#include "raylet/scheduling/task_queue.h"

namespace raylet {

// The resources that tasks and actors of one machine ask for here, and the part of those that do not run yet.
struct RemoteWork {
  std::map<std::string, int64_t> units, queued_units;
};

// Whether the task goes on without its job's driver: it creates a detached actor whose home is here, or is owned by one
// of `survivors`.
bool StaysWithoutDriver(const Task& task, const ProcessSet& survivors);

class TaskTable {
 public:
  // All outlive this.
  TaskTable(const SchedulerLimits& limits, const TaskQueue& queue, Decisions& decisions)
      : limits_(limits), queue_(queue), decisions_(decisions) {}
  void JoinCluster(const ObjectPlaces& places) { places_ = &places; }

  // Whether there is room for a task. Without room the owner waits, and a TellRoom decision follows once there is some.
  // Creations of actors and remote tasks have bounds of their own, and always find room.
  bool AskForRoom(const Task& task);
  void WaitsNoLonger(const ProcessSet& processes);  // they have ended
  // kAlreadyExists: an id that is known. kFull: a limit, named. kNotRunning: the job has ended.
  Result<QueuedTask*> Add(TaskPtr task);
  void Forget(QueuedTask* task);
  void Lose(LoseTask lost, QueuedTask* task);  // and forgets it
  void LoseWaitingFor(const std::vector<std::pair<TaskId, ObjectId>>& waiting, const std::string& why);
  // The object is lost, and with it the tasks that wait for it. LoseSome takes `most` of them, and says whether more
  // are left. A task that waits for the object from now on is not one of them.
  void ObjectLost(const ObjectId& object, const std::string& why);
  bool LoseSome(size_t most);
  size_t losing() const;  // tasks that LoseSome has still to take, at most

  QueuedTask* Find(const TaskId& id);
  QueuedTask* FindFrom(const NodeId& from, const TaskId& id);  // a task that came from there
  std::vector<QueuedTask*> AllFrom(const NodeId& from) const;
  std::unordered_map<TaskId, QueuedTask>& all() { return tasks_; }
  size_t size() const { return tasks_.size(); }
  size_t WithoutRoom() const;  // processes that wait for it
  bool HasTasksIn(const PlacementGroupId& group) const { return in_group_.contains(group); }
  bool HasTasksOf(ProcessId owner) const { return owned_.contains(owner); }
  // The resources that the tasks of each machine ask for.
  std::map<NodeId, RemoteWork> WorkByMachine() const;

  void WaitFor(QueuedTask* task, const std::vector<ObjectId>& objects);
  void StopWaiting(const QueuedTask& task);
  std::vector<QueuedTask*> Sealed(const ObjectId& object);  // the tasks that wait for nothing any more, in order
  void LetGo(QueuedTask& task);                             // the task begins, is forwarded or ends
  std::vector<ObjectId> NotHere(const Task& task) const;    // of its stored arguments
  const DependencyTracker& dependencies() const { return dependencies_; }

  bool HasTasks(JobId job) const;
  void EndJob(JobId job, bool for_good);  // for good: it takes no more tasks, so that no worker is started
  bool HasEnded(JobId job) const;
  void ForgetJob(JobId job);  // it has no tasks any more

 private:
  struct Job {
    explicit Job(const SchedulerLimits& limits) : room(limits) {}
    size_t tasks = 0;           // all
    JobRoom room;               // of those that TakesRoom
    size_t creation_bytes = 0;  // of creations of actors that were asked for here
    bool ended = false;
  };
  static bool TakesRoom(const Task& task) { return !task.CreatesActor() && !task.IsRemote(); }
  Job& JobOf(JobId id) { return jobs_.try_emplace(id, limits_).first->second; }
  void GiveRoom(Job& job, const Task& task);
  void Keep(QueuedTask& task, std::vector<ObjectId> objects);

  const SchedulerLimits& limits_;
  const TaskQueue& queue_;
  Decisions& decisions_;
  const ObjectPlaces* places_ = nullptr;  // set: there may be other machines
  DependencyTracker dependencies_;
  std::unordered_map<TaskId, QueuedTask> tasks_;  // node-based: pointers to its values stay good
  std::map<NodeId, std::unordered_map<TaskId, QueuedTask*>> remote_tasks_;  // those of tasks_ that came from there
  std::unordered_map<ProcessId, size_t> owned_;                             // tasks of each owner
  std::unordered_map<PlacementGroupId, size_t> in_group_;                   // tasks of each placement group
  std::unordered_map<ObjectId, size_t> awaited_;                            // by how many tasks
  struct LostObject {
    ObjectId object;
    std::string why;
    std::vector<std::pair<TaskId, uint64_t>> tasks;  // that waited for it, with their sequences
  };
  std::deque<LostObject> lost_;
  std::map<JobId, Job> jobs_;
  uint64_t next_sequence_ = 1;
};

}  // namespace raylet
