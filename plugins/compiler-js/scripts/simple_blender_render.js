// SPDX-License-Identifier: Apache-2.0
//
// Job type "simple-blender-render": renders a range of frames in chunks, then joins the images into a preview video.

const JOB_TYPE = {
    label: "Simple Blender Render",
    description: "Render a sequence of frames, and create a preview video of it",
    settings: [
        {
            key: "frames",
            type: "string",
            required: true,
            eval: 'f"{C.scene.frame_start}-{C.scene.frame_end}"',
            evalInfo: {
                showLinkButton: true,
                description: "Frame range of the scene",
            },
            description: "Frames to render: one frame '47', a range '1-10', or several of both '3,5-10,20..25'",
        },
        {
            key: "chunk_size",
            type: "int32",
            default: 1,
            visible: "submission",
            description: "Number of frames that one task renders",
        },
        {
            key: "render_output_root",
            type: "string",
            subtype: "dir_path",
            required: true,
            visible: "submission",
            description: "Directory below which the output of each job gets a directory of its own",
        },
        {
            key: "add_path_components",
            type: "int32",
            required: true,
            default: 0,
            propargs: { min: 0, max: 32 },
            visible: "submission",
            description: "How many of the last directories of the blend file's path become part of the output path",
        },
        {
            key: "render_output_path",
            type: "string",
            subtype: "file_path",
            editable: false,
            eval: 'str(Path(abspath(settings.render_output_root)) / last_n_dir_parts(settings.add_path_components)'
                + ' / jobname / "{timestamp}" / "######")',
            description: "Where the images are written; each # is a digit of the frame number",
        },
        { key: "blendfile", type: "string", required: true, visible: "web", description: "The blend file to render" },
        { key: "fps", type: "float", visible: "hidden", eval: "C.scene.render.fps / C.scene.render.fps_base" },
        {
            key: "format",
            type: "string",
            required: true,
            visible: "web",
            eval: "C.scene.render.image_settings.file_format",
        },
        {
            key: "image_file_extension",
            type: "string",
            required: true,
            visible: "hidden",
            eval: "C.scene.render.file_extension",
            description: "File name extension of the rendered images",
        },
        {
            key: "has_previews",
            type: "bool",
            required: false,
            visible: "hidden",
            eval: "C.scene.render.image_settings.use_preview",
            description: "Whether Blender writes a preview image beside each rendered one",
        },
        {
            key: "scene",
            type: "string",
            required: true,
            visible: "web",
            eval: "C.scene.name",
            description: "The scene to render",
        },
    ],
};

// Blender writes one file for the whole range, so that its frames cannot be spread over tasks.
const VIDEO_FORMATS = ["FFMPEG", "AVI_RAW", "AVI_JPEG"];

// FFmpeg cannot be relied on to read these. Their previews are JPEG files.
const EXR_FORMATS = ["EXR", "MULTILAYER", "OPEN_EXR", "OPEN_EXR_MULTILAYER"];

// Keeps the images that are there, so that a task that runs once more renders only what is missing. Placeholders would count
// as images.
const PREPARE_SCENE = "import bpy; render = bpy.context.scene.render; render.use_file_extension = True; "
    + "render.use_overwrite = False; render.use_placeholder = False";

function compileJob(job) {
    const { settings } = job;
    if (VIDEO_FORMATS.includes(settings.format))
        throw new Error(`This job type renders images, and cannot render to the video format ${settings.format}`);
    if (!settings.render_output_path)
        throw new Error("The setting render_output_path is missing or empty");

    settings.render_output_path = fillIn(settings.render_output_path, job);
    const outputDir = path.dirname(settings.render_output_path);
    const outputFile = path.join(outputDir, path.basename(settings.render_output_path));

    const renderTasks = makeRenderTasks(settings, outputFile);
    const videoTask = makeVideoTask(settings, outputDir);
    for (const task of renderTasks)
        job.addTask(task);
    if (videoTask) {
        for (const task of renderTasks)
            videoTask.addDependency(task);
        job.addTask(videoTask);
    }
}

// Replaces {timestamp}. What else stands in braces is a variable of the manager, or the artist's.
function fillIn(outputPath, job) {
    return outputPath.replace(/{[^}]+}/g, (group) => {
        return group === "{timestamp}" ? formatTimestampLocal(job.created) : group;
    });
}

function makeRenderTasks(settings, outputFile) {
    const { blendfile, chunk_size, format, frames, scene } = settings;
    const args = ["--python-expr", PREPARE_SCENE, "--render-output", outputFile, "--render-format", format,
        "--render-frame"];
    if (scene)
        args.unshift("--scene", scene);

    return frameChunker(frames, chunk_size).map((chunk) => {
        const task = author.Task(`render-${chunk}`, "blender");
        task.addCommand(author.Command("blender-render", {
            exe: "{blender}",
            exeArgs: "{blenderArgs}",
            argsBefore: [],
            blendfile,
            args: [...args, chunk.replaceAll("-", "..")],
        }, frameCount(chunk)));
        return task;
    });
}

function makeVideoTask(settings, outputDir) {
    const { blendfile, format, fps, frames, has_previews, image_file_extension } = settings;
    const isEXR = EXR_FORMATS.includes(format);
    if (!fps || (isEXR && !has_previews))
        return null;

    const stem = path.stem(blendfile).replace(".flamenco", "");
    const extension = isEXR ? ".jpg" : image_file_extension;
    const task = author.Task("preview-video", "ffmpeg");
    task.addCommand(author.Command("frames-to-video", {
        exe: "ffmpeg",
        fps,
        inputGlob: path.join(outputDir, `*${extension}`),
        outputFile: path.join(outputDir, `${stem}-${rangeText(frames)}.mp4`),
        args: [
            "-c:v", "h264",
            "-crf", "20",
            "-g", "18",
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2",
            "-pix_fmt", "yuv420p",
            "-r", fps,
            "-y", // overwrite the video of an earlier try
        ],
    }));
    return task;
}

// The range as it was given, or the first and the last frame of a list.
function rangeText(frames) {
    const text = `${frames}`;
    if (!text.includes(","))
        return text;
    const all = frameChunker(text, 1);
    return `${all[0]}-${all[all.length - 1]}`;
}
