//! The id of the container that the process runs in, from what the kernel says of its cgroup or its mounts.

use std::path::Path;

use super::text_of;

/// An id's length, as every runtime of today makes it.
const ID_DIGITS: usize = 64;

/// The container's id; none outside of one, and none rather than a wrong one.
pub(super) fn id(root: &Path) -> Option<String> {
    // Of cgroup v1, and of v2 without a namespace of its own: the path ends in the id. With a namespace the path
    // is "/", and the mounts tell it.
    let of_cgroup = text_of(root, "proc/self/cgroup").and_then(|text| of_cgroup(&text));
    of_cgroup.or_else(|| of_mounts(&text_of(root, "proc/self/mountinfo")?))
}

/// `12:memory:/kubepods/burstable/pod…/<id>`, `0::/system.slice/docker-<id>.scope`.
fn of_cgroup(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let last = path.trim_end().rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        // The runtime's name stands before it: `cri-containerd-`, `crio-`, `docker-`, `cri-containerd:`.
        let id = last.rsplit([':', '-']).next()?;
        is_id(id).then(|| id.to_owned())
    })
}

/// The runtime mounts files such as the host's name from a directory of the container's:
/// `… /var/lib/docker/containers/<id>/hostname /etc/hostname …`.
fn of_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (source, target) = (fields.next()?, fields.next()?);
        let is_of_container = matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf");
        // In Kubernetes these belong to the pod's sandbox, which is another container.
        if !is_of_container || source.contains("/sandboxes/") || source.contains("/pods/") {
            return None;
        }
        source.split('/').find(|part| is_id(part)).map(str::to_owned)
    })
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f0dd3b8bd3ffd33e4a1b85d5e9e2ac4b6ac7a0d9d0a5b9d0df2a7b0e6f1c2d3";

    #[test]
    fn a_cgroup_ends_in_the_id_whatever_the_runtime_puts_around_it() {
        let paths = [
            format!("14:name=systemd:/docker/{ID}"),
            format!("11:memory:/kubepods/besteffort/pod9e1b/{ID}\n10:cpu:/"),
            format!("9:cpuset:/ecs/task-name/{ID}"),
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("0::/kubepods.slice/kubepods-pod9e1b.slice/crio-{ID}.scope"),
            format!("0::/kubepods.slice/kubepods-pod9e1b.slice/cri-containerd-{ID}.scope"),
            format!(
                "1:cpu:/system.slice/containerd.service/kubepods-pod9e1b.slice:cri-containerd:{ID}"
            ),
            format!("0::/machine.slice/libpod-{ID}.scope"),
        ];
        for path in paths {
            assert_eq!(of_cgroup(&path).as_deref(), Some(ID), "{path}");
        }
        let upper = ID.to_uppercase();
        let none = [
            "0::/".to_owned(),
            "0::/user.slice/user-1000.slice/session-3.scope".to_owned(),
            format!("0::/docker/{}", &ID[1..]),
            format!("0::/docker/{upper}"),
            String::new(),
            "::::".to_owned(),
        ];
        for path in none {
            assert_eq!(of_cgroup(&path), None, "{path}");
        }
    }

    #[test]
    fn mounts_tell_the_id_of_a_container_with_a_cgroup_namespace() {
        let docker = format!(
            "474 456 254:1 / / rw - overlay overlay rw\n\
             478 474 254:1 /docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw"
        );
        assert_eq!(of_mounts(&docker).as_deref(), Some(ID));
        let podman = format!(
            "983 961 0:56 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw"
        );
        assert_eq!(of_mounts(&podman).as_deref(), Some(ID));
    }

    #[test]
    fn the_sandbox_of_a_pod_is_not_taken_for_the_container() {
        let sandbox = format!(
            "733 720 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname /etc/hostname rw - ext4 a rw\n\
             734 720 8:1 /var/lib/kubelet/pods/9e1b/etc-hosts /etc/hosts rw - ext4 a rw\n\
             735 720 8:1 /data/{ID}/cache /cache rw - ext4 a rw\n\
             short"
        );
        assert_eq!(of_mounts(&sandbox), None);
    }
}
