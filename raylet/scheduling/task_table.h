// TaskTable: every task that has not ended, with its owner and the objects that it waits for, within the limits of its
// job. Pure; the raylet's loop thread. Always holds: a task is in here from its submission to its one end; its address
// stays the same. In a cluster an object that tasks wait for is kept here until none of them needs it here any more.
// Very many tasks may end at once. So those of an ended owner or job are doomed at once, and the caller drops them in
// parts.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/spread_map.h"
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

// The tasks of one owner in one job. The creations of a job's actors have a list of their own, since they may outlive
// their owners.
struct OwnedTasks {
  JobId job = 0;
  ProcessId owner = 0;  // 0: creations
  TaskList tasks;
  bool doomed = false;
};

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
  // The object is lost, and with it the tasks that wait for it. LoseSome takes `most` of them, off `most`. A task that
  // waits for the object from now on is not one of them.
  void ObjectLost(const ObjectId& object, const std::string& why);
  void LoseSome(size_t& most);

  // ---- doomed tasks
  void OwnerEnded(ProcessId owner);  // dooms its tasks, but no creations
  // The job takes no more tasks where it ends `for_good`. Dooms all of its tasks but those that go on without the
  // driver.
  void EndJob(JobId job, const ProcessSet& survivors, bool for_good);
  static bool IsDoomed(const QueuedTask& task) { return task.owned->doomed; }
  QueuedTask* NextDoomed();  // null: there is none. The caller forgets the task, or spares it.
  void Spare(QueuedTask& task);
  bool HasDoomed(JobId job) const;
  std::vector<JobId> JobsWithDoomed() const;
  // Whether NextDoomed, TakeReady, LoseSome or the dependencies' TakeLost have more to do.
  bool HasMore() const { return !doomed_.empty() || !lost_.empty() || dependencies_.HasMore(); }

  QueuedTask* Find(const TaskId& id);
  QueuedTask* FindFrom(const NodeId& from, const TaskId& id);  // a task that came from there
  std::vector<QueuedTask*> AllFrom(const NodeId& from) const;
  SpreadMap<TaskId, QueuedTask>& all() { return tasks_; }
  size_t size() const { return tasks_.size(); }
  size_t WithoutRoom() const;  // processes that wait for it
  bool HasTasksIn(const PlacementGroupId& group) const { return in_group_.contains(group); }
  bool HasTasksOf(ProcessId owner) const { return owned_.contains(owner); }
  // The resources that the tasks of each machine ask for.
  std::map<NodeId, RemoteWork> WorkByMachine() const;

  void WaitFor(QueuedTask* task, const std::vector<ObjectId>& objects);
  void StopWaiting(const QueuedTask& task);
  std::vector<QueuedTask*> TakeReady(size_t& most);       // as DependencyTracker
  void LetGo(QueuedTask& task);                           // the task begins, is forwarded or ends
  std::vector<ObjectId> NotHere(const Task& task) const;  // of its stored arguments
  DependencyTracker& dependencies() { return dependencies_; }
  const DependencyTracker& dependencies() const { return dependencies_; }

  bool HasTasks(JobId job) const;
  bool HasEnded(JobId job) const;
  void ForgetJob(JobId job);  // it has no tasks any more

 private:
  struct Job {
    explicit Job(const SchedulerLimits& limits) : room(limits) {}
    size_t tasks = 0;           // all
    JobRoom room;               // of those that TakesRoom
    size_t creation_bytes = 0;  // of creations of actors that were asked for here
    bool ended = false;
    std::unordered_map<ProcessId, OwnedTasks> owned;  // none is empty or doomed
    size_t doomed = 0;                                // of doomed_
  };
  using DoomedTasks = std::unordered_map<ProcessId, OwnedTasks>::node_type;
  static bool TakesRoom(const Task& task) { return !task.CreatesActor() && !task.IsRemote(); }
  Job& JobOf(JobId id) { return jobs_.try_emplace(id, limits_).first->second; }
  void GiveRoom(Job& job, const Task& task);
  static OwnedTasks& OwnedBy(Job& job, const Task& task);
  void Doom(Job& job, ProcessId owner);
  void Keep(QueuedTask& task, std::vector<ObjectId> objects);

  const SchedulerLimits& limits_;
  const TaskQueue& queue_;
  Decisions& decisions_;
  const ObjectPlaces* places_ = nullptr;  // set: there may be other machines
  DependencyTracker dependencies_;
  SpreadMap<TaskId, QueuedTask> tasks_;                                     // pointers to its values stay good
  std::map<NodeId, std::unordered_map<TaskId, QueuedTask*>> remote_tasks_;  // those of tasks_ that came from there
  std::unordered_map<ProcessId, size_t> owned_;                             // tasks of each owner
  std::unordered_map<PlacementGroupId, size_t> in_group_;                   // tasks of each placement group
  SpreadMap<ObjectId, size_t> awaited_;                                     // by how many tasks
  struct LostObject {
    ObjectId object;
    std::string why;
    DependencyTracker::Waiting tasks;  // never empty
  };
  std::deque<LostObject> lost_;
  std::deque<DoomedTasks> doomed_;  // whose tasks have still to be dropped
  std::map<JobId, Job> jobs_;
  uint64_t next_sequence_ = 1;
};

}  // namespace raylet
