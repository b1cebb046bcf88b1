#include "raylet/actors/failure_text.h"

#include <csignal>
#include <cstring>

#include "base/strings.h"
#include "fbs/text_bounds.h"

namespace raylet {
namespace {

std::string LogHint(const WorkerExit& exit) {
  std::string hint;
  if (exit.signal == SIGKILL)
    hint = "unless somebody sent SIGKILL, look for the kernel's out-of-memory killer in dmesg; ";
  if (exit.pid != 0) hint += exit.log_file.empty() ? "it wrote nothing" : StrCat("its output is in ", exit.log_file);
  // The file is in the raylet's folder, which may be gone before somebody reads this message. So
  // the message quotes the file's end.
  if (!exit.last_output.empty()) hint += StrCat(" and ends with:\n", exit.last_output);
  return hint;
}

wire::FailureT Begin(wire::FailureKind kind, const Task& task, const WorkerExit& exit) {
  wire::FailureT failure;
  failure.kind = kind;
  failure.function = task.function;
  failure.pid = exit.pid;
  failure.signal = exit.signal;
  failure.hint = LogHint(exit);
  return failure;
}

std::string Lost(const std::string& machine, const std::string& why) {
  return StrCat("the machine at ", machine, " died or could not be reached any more",
                why.empty() ? "" : StrCat(" (", why, ")"));
}

std::string NameOf(const Task& creation) {
  return creation.actor->name.empty() ? creation.actor->id.hex() : creation.actor->name;
}

}  // namespace

std::string SignalName(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? StrCat("signal ", signal) : StrCat("SIG", name);
}

std::string DescribeExit(const WorkerExit& exit) {
  if (!exit.start_error.empty()) return exit.start_error;
  if (exit.signal != 0)
    return StrCat("worker ", exit.pid, " was killed by signal ", exit.signal, " (", SignalName(exit.signal), ")");
  return StrCat("worker ", exit.pid, " exited with code ", exit.exit_code);
}

wire::FailureT WorkerDiedWhileRunning(const Task& task, const WorkerExit& exit, uint32_t attempts) {
  wire::FailureT failure = Begin(wire::FailureKind::WorkerDied, task, exit);
  failure.message = StrCat(DescribeExit(exit), " while it ran task '", task.name, "' (", task.function, ")");
  if (attempts > 1) failure.message += StrCat("; it was tried ", attempts, " times");
  failure.may_have_run = true;
  return failure;
}

wire::FailureT LeasedWorkerDied(const WorkerExit& exit) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::WorkerDied;
  failure.pid = exit.pid;
  failure.signal = exit.signal;
  failure.message = DescribeExit(exit);
  failure.may_have_run = true;
  failure.hint = LogHint(exit);
  return failure;
}

wire::FailureT ActorWorkerDied(const Task& creation, bool constructed, const WorkerExit& exit) {
  wire::FailureT failure = Begin(wire::FailureKind::ActorDied, creation, exit);
  failure.message = StrCat(DescribeExit(exit), " while it ", constructed ? "hosted" : "constructed", " actor '",
                           NameOf(creation), "' (", creation.function, ")");
  failure.may_have_run = constructed;
  failure.retry_safe = !constructed;
  return failure;
}

wire::FailureT NoWorkerStarts(const Task& task, const WorkerExit& exit, size_t attempts) {
  wire::FailureT failure = Begin(wire::FailureKind::WorkerDied, task, exit);
  failure.message = StrCat("no worker could be started for '", task.name, "' (", task.function, ") in ", attempts,
                           " attempts; at the last one, ", DescribeExit(exit),
                           exit.start_error.empty() ? " before it registered" : "");
  if (!exit.log_file.empty()) failure.message += StrCat("; its output is in ", exit.log_file);
  if (!exit.last_output.empty()) failure.message += StrCat(" and ends with:\n", exit.last_output);
  failure.retry_safe = true;
  if (!task.environment.empty()) {
    failure.kind = wire::FailureKind::RuntimeEnv;
    failure.hint = "see what the task's runtime environment asks for, and that its working_dir is on each machine";
    return failure;
  }
  failure.hint = exit.log_file.empty()
                     ? "the program must be there, executable, and call ray::Init() soon after it starts"
                     : StrCat("read ", exit.log_file, "; the program must call ray::Init() soon after it starts");
  return failure;
}

wire::FailureT MachineDiedWhileRunning(const Task& task, const std::string& machine, const std::string& why,
                                       uint32_t attempts) {
  wire::FailureT failure = Begin(wire::FailureKind::WorkerDied, task, {});
  failure.message = StrCat(Lost(machine, why), " while it ran task '", task.name, "' (", task.function, ")");
  if (attempts > 1) failure.message += StrCat("; it was tried ", attempts, " times");
  failure.may_have_run = true;
  failure.hint = "`raylet status` shows the machines that are left";
  return failure;
}

wire::FailureT MachineDiedWhileHosting(const Task& creation, bool constructed, const std::string& machine,
                                       const std::string& why) {
  wire::FailureT failure = Begin(wire::FailureKind::ActorDied, creation, {});
  failure.message = StrCat(Lost(machine, why), " while it ", constructed ? "hosted" : "constructed", " actor '",
                           NameOf(creation), "' (", creation.function, ")");
  failure.may_have_run = true;
  failure.hint = "`raylet status` shows the machines that are left; with SetMaxRestarts the actor starts again there";
  return failure;
}

wire::FailureT RefusedByOthers(const Task& task, const std::string& machine) {
  wire::FailureT failure = Begin(wire::FailureKind::Other, task, {});
  failure.message =
      StrCat("other machines refused task '", task.name, "' (", task.function, "); the last one was at ", machine);
  failure.retry_safe = true;
  failure.hint = "read the raylet's output on that machine; it says why";
  return failure;
}

wire::FailureT GroupRemoved(const Task& task) {
  wire::FailureT failure = Begin(wire::FailureKind::Other, task, {});
  failure.message = StrCat("placement group ", task.placement_group.hex(), " was removed, and task '", task.name, "' (",
                           task.function, ") with it");
  failure.may_have_run = true;
  failure.hint = "remove a group once its tasks have ended, or run the task in another group";
  return failure;
}

wire::FailureT HomeLost(const ActorId& actor, const std::string& machine, const std::string& why) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.may_have_run = true;
  if (machine.empty()) {
    failure.message = StrCat("actor ", actor.hex(), " was created on a machine that this one does not know");
    failure.hint = "name the machines to each other with --peers, or give all of them one --control store";
  } else {
    failure.message = StrCat("actor ", actor.hex(), " was created on the machine at ", machine,
                             ", which died or could not be reached any more", why.empty() ? "" : StrCat(" (", why, ")"),
                             ": the actor ended with it");
    failure.hint = "create the actor again, from a process on another machine";
  }
  return failure;
}

wire::FailureT ChannelLost(const ActorId& actor, const Error& why) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = StrCat("the channel to actor ", actor.hex(), " on another machine is lost: ", why.message);
  failure.may_have_run = true;
  failure.hint = "call it again: it may be there, or start again on another machine";
  return failure;
}

wire::FailureT ObjectLost(const Task& task, const ObjectId& object, const std::string& why) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::ObjectLost;
  failure.function = task.function;
  failure.message = why.empty()
                        ? StrCat("task '", task.name, "' waits for object ", object.hex(), ", whose owner, process ",
                                 OwnerOf(object), ", has ended before the object was ready")
                        : StrCat("task '", task.name, "' waits for object ", object.hex(), ", which is lost: ", why);
  failure.retry_safe = true;
  failure.hint = why.empty() ? "create the object in a process that outlives its users" : "create the object again";
  return failure;
}

wire::FailureT ObjectLost(const ObjectId& object, const Error& why) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::ObjectLost;
  failure.message = StrCat("object ", object.hex(), " is lost: ", why.message);
  failure.hint = "create the object again";
  return failure;
}

wire::FailureT CancelledBeforeItBegan() {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::TaskCancelled;
  failure.message = "the task was cancelled before it began";
  failure.retry_safe = true;
  return failure;
}

wire::FailureT Refused(const std::string& task_name, const std::string& function, const std::string& message) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::Other;
  failure.function = Shortened(function, kNameBytesMax);  // a long name may be why
  const std::string& name = task_name.empty() ? function : task_name;
  failure.message = StrCat("'", Shortened(name, kNameBytesMax), "' was refused: ", message);
  failure.retry_safe = true;
  return failure;
}

wire::FailureT ProcessEnded(ProcessId process, const std::string& message) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::WorkerDied;
  failure.message = message.empty() ? StrCat("process ", process, " has ended") : message;
  failure.may_have_run = true;
  return failure;
}

void SayWhere(wire::FailureT& failure, const std::string& machine) {
  failure.hint += StrCat(failure.hint.empty() ? "" : "; ", "it was on the machine at ", machine);
}

Bytes EncodeFailedResult(const TaskId& task, wire::FailureT failure) {
  Shorten(failure);
  wire::TaskResultT result;
  result.id = std::make_unique<wire::Id20>(ToWire(task));
  result.result = std::make_unique<wire::ValueT>();
  result.result->kind = wire::ValueKind::Failed;
  result.result->failure = std::make_unique<wire::FailureT>(std::move(failure));
  return Encode(result);
}

}  // namespace raylet
