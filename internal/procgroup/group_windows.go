package procgroup

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// watchInterval is how often a group is measured.
const watchInterval = 250 * time.Millisecond

// group is a job object that holds the leader and all it starts.
type group struct {
	id     int
	job    windows.Handle
	leader windows.Handle
}

// newGroup makes the job object. The leader starts suspended, so that it can
// start nobody before it is in the job.
func newGroup(cmd *exec.Cmd, _ *Spec) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, os.NewSyscallError("CreateJobObject", err)
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, os.NewSyscallError("SetInformationJobObject", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_SUSPENDED,
	}
	return &group{job: job}, nil
}

// adopt puts the started leader into the job and lets it run.
func (g *group) adopt(pid int, spec *Spec) (err error) {
	g.id = pid
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE |
		windows.PROCESS_SET_INFORMATION | windows.SYNCHRONIZE
	if g.leader, err = windows.OpenProcess(access, false, uint32(pid)); err != nil {
		return os.NewSyscallError("OpenProcess", err)
	}
	if err = windows.AssignProcessToJobObject(g.job, g.leader); err != nil {
		return os.NewSyscallError("AssignProcessToJobObject", err)
	}
	if class := priorityClass(spec.Limits.Nice); class != 0 {
		if err = windows.SetPriorityClass(g.leader, class); err != nil {
			return fmt.Errorf("set priority for niceness %d: %w", spec.Limits.Nice, err)
		}
	}
	return resume(uint32(pid))
}

// priorityClass is the Windows counterpart of a niceness; 0 leaves it.
func priorityClass(nice int) uint32 {
	switch {
	case nice >= 10:
		return windows.IDLE_PRIORITY_CLASS
	case nice > 0:
		return windows.BELOW_NORMAL_PRIORITY_CLASS
	case nice < 0:
		return windows.HIGH_PRIORITY_CLASS
	}
	return 0
}

// resume lets the threads of a suspended process run.
func resume(pid uint32) error {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return os.NewSyscallError("CreateToolhelp32Snapshot", err)
	}
	defer func() { _ = windows.CloseHandle(snap) }()
	entry := windows.ThreadEntry32{}
	entry.Size = uint32(unsafe.Sizeof(entry))
	resumed := false
	for err = windows.Thread32First(snap, &entry); err == nil; err = windows.Thread32Next(snap, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return os.NewSyscallError("OpenThread", err)
		}
		_, err = windows.ResumeThread(thread)
		_ = windows.CloseHandle(thread)
		if err != nil {
			return os.NewSyscallError("ResumeThread", err)
		}
		resumed = true
	}
	if !resumed {
		return fmt.Errorf("process %d has no thread to resume", pid)
	}
	return nil
}

// await blocks until the leader has ended.
func (g *group) await() error {
	_, err := windows.WaitForSingleObject(g.leader, windows.INFINITE)
	return err
}

// terminate sends Ctrl-Break to the leader's console group.
func (g *group) terminate(bool) {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(g.id))
}

// kill ends everything in the job.
func (g *group) kill() { _ = windows.TerminateJobObject(g.job, 1) }

func (g *group) clean() { g.kill() }

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION.
type accounting struct {
	TotalUserTime, TotalKernelTime           int64 // in 100 ns
	ThisPeriodUserTime, ThisPeriodKernelTime int64
	PageFaults, Processes, Active, Ended     uint32
}

// usage asks the job. Memory is the most that its processes have had
// committed at a time.
func (g *group) usage() (usage, error) {
	var a accounting
	var l windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	err := windows.QueryInformationJobObject(g.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)), nil)
	if err == nil {
		err = windows.QueryInformationJobObject(g.job, windows.JobObjectExtendedLimitInformation,
			uintptr(unsafe.Pointer(&l)), uint32(unsafe.Sizeof(l)), nil)
	}
	if err != nil {
		return usage{}, fmt.Errorf("%w: %w", errNoUsage, err)
	}
	return usage{
		memory: int64(l.PeakJobMemoryUsed),
		cpu:    time.Duration(a.TotalUserTime+a.TotalKernelTime) * 100,
	}, nil
}

func (g *group) close() {
	if g.leader != 0 {
		_ = windows.CloseHandle(g.leader)
	}
	_ = windows.CloseHandle(g.job)
}

// signalName is empty: Windows has no signals.
func signalName(*os.ProcessState) string { return "" }
